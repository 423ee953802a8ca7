"""``/healthz``: this process is alive. ``/readyz``: a webhook could be stored now."""

from collections.abc import Callable

from flask import Blueprint
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.intake import fallback_store as second_door
from app.intake import primary_store as first_door

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> dict[str, str]:
    """Asks nobody: whoever restarts processes must not do so because a store is away."""
    return {"status": "alive"}


@blueprint.get("/readyz")
def readyz() -> tuple[dict[str, bool], int]:
    """200 while either store answers, else 503; in both cases which one does."""
    redis, postgres = _answers(first_door.ping), _answers(second_door.ping)
    ready = redis or postgres
    return {"ready": ready, "redis": redis, "postgres": postgres}, 200 if ready else 503


def _answers(ask: Callable[[], None]) -> bool:
    try:
        ask()
    except (RedisError, SQLAlchemyError):
        return False
    return True
