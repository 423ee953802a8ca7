"""``/healthz``: this process is alive. ``/readyz``: a webhook could be stored now."""

from collections.abc import Callable

from flask import Blueprint, request
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.intake import fallback_store, primary_store
from app.web.operators import may_see
from config.settings import settings

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> dict[str, str]:
    """Answer without asking a store: a process must not be restarted because a store is away."""
    return {"status": "alive"}


@blueprint.get("/readyz")
def readyz() -> tuple[dict[str, bool], int]:
    """Answer 200 while at least one store answers, else 503; which of them is for operators."""
    redis, postgres = _is_up(primary_store.ping), _is_up(fallback_store.ping)
    ready = redis or postgres
    details = {"redis": redis, "postgres": postgres} if may_see(request, settings()) else {}
    return {"ready": ready, **details}, 200 if ready else 503


def _is_up(ping: Callable[[], None]) -> bool:
    try:
        ping()
    except (RedisError, SQLAlchemyError):
        return False
    return True
