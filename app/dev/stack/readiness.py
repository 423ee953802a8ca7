"""Whether a pipeline does its work now: the web can store, and every consumer answers."""

import socket
from collections.abc import Iterable
from functools import cache

import httpx
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from app.broker import NeverdropCelery
from app.dev.processes import Program
from config.settings import Settings

ANSWER_SECONDS = 2


def web_is_ready(url: str) -> bool:
    """Whether the web at ``url`` could store a delivery."""
    try:
        answer = _client().get(f"{url}/readyz")
    except httpx.HTTPError:
        return False
    return answer.is_success


@cache
def _client() -> httpx.Client:
    """One for all: to make it reads every certificate of the machine, a hundred times the work of a request."""
    limits = httpx.Limits(max_keepalive_connections=0)  # the web may have been another one a moment ago
    return httpx.Client(timeout=ANSWER_SECONDS, trust_env=False, limits=limits)


def consumers_answer(programs: Iterable[Program], settings: Settings) -> bool:
    """Whether each of these ingest and worker processes of this machine answers Celery's ping."""
    expected = {f"{program.name}@{socket.gethostname()}" for program in programs}
    app = NeverdropCelery(settings, set_as_current=False)
    try:
        replies = app.control.ping(destination=sorted(expected), timeout=ANSWER_SECONDS)
    except (OSError, OperationalError, RedisError):
        return False
    finally:
        app.close()
    return expected <= {name for reply in replies or [] for name in reply}
