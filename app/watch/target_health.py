"""How each target goes, as each forwarder sees it: written to Redis every second, for people to look at."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import FiniteFloat, TypeAdapter
from redis import Redis

from app.stores import TARGETS_HEALTH

BREAKERS = ("closed", "half-open", "open")  # from good to bad
BELIEVED_SECONDS = 15.0  # what is older is of a forwarder that is gone


@dataclass(frozen=True, slots=True)
class TargetHealth:
    """What one forwarder knows of a target, or all of them together. Counts are of the last five minutes."""

    breaker: str = "closed"
    attempts: int = 0
    failures: int = 0
    in_flight: int = 0
    p50_seconds: FiniteFloat | None = None
    p99_seconds: FiniteFloat | None = None
    throttled_seconds: FiniteFloat = 0.0  # that it is left alone from now on
    last_error: str | None = None  # without what it quotes of people
    forwarders: int = 0


HEALTH = TypeAdapter(TargetHealth)


def publish(redis: "Redis", forwarder: str, known: Mapping[str, TargetHealth]) -> None:
    """Write what a forwarder knows; RedisError without Redis."""
    if known:
        seconds, _ = redis.time()
        values: Any = {
            f"{name}|{forwarder}": json.dumps({"at": seconds, **asdict(health)})
            for name, health in known.items()
        }
        redis.hset(TARGETS_HEALTH, mapping=values)


def withdraw(redis: "Redis", forwarder: str, names: Iterable[str]) -> None:
    """Take back what a forwarder has written, at its end."""
    fields = [f"{name}|{forwarder}" for name in names]
    if fields:
        redis.hdel(TARGETS_HEALTH, *fields)


def read(redis: "Redis") -> dict[str, TargetHealth]:
    """Return how each target goes, by its name; what forwarders that are gone have left, or others, is removed."""
    seconds, _ = redis.time()
    found: dict[str, list[TargetHealth]] = {}
    old = []
    fields: Any = redis.hgetall(TARGETS_HEALTH)
    for field, text in fields.items():
        try:
            values = json.loads(text)
            is_old = abs(seconds - values.pop("at")) > BELIEVED_SECONDS
            BREAKERS.index(values["breaker"])
            name, health = field.decode().partition("|")[0], HEALTH.validate_python(values)
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            is_old = True  # no forwarder wrote that
        if is_old:
            old.append(field)
        else:
            found.setdefault(name, []).append(health)
    if old:
        redis.hdel(TARGETS_HEALTH, *old)
    return {name: _together(each) for name, each in sorted(found.items())}


def _together(known: list[TargetHealth]) -> TargetHealth:
    """Several forwarders' knowledge as one: the worst breaker, the slowest answers, the sums."""
    return TargetHealth(
        max((each.breaker for each in known), key=BREAKERS.index),
        sum(each.attempts for each in known),
        sum(each.failures for each in known),
        sum(each.in_flight for each in known),
        max((each.p50_seconds for each in known if each.p50_seconds is not None), default=None),
        max((each.p99_seconds for each in known if each.p99_seconds is not None), default=None),
        max(each.throttled_seconds for each in known),
        next((each.last_error for each in known if each.last_error), None),
        len(known),
    )
