"""Examine Redis: what it keeps, who it is, how full it is, and what time it has."""

import time
from collections.abc import Iterator
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from app.doctor.finding import Finding, Level
from app.stores import redis_checks
from config.logging import describe

OLDEST_REDIS = (6, 2)
OLDEST_VALKEY = (7, 2)
MOST_FULL = 0.8
CLOCK_SECONDS = 2.0
# The names of redis_checks are log events
CHECKS = {
    "journal.evicts": "redis_eviction",
    "journal.not_durable": "redis_persistence",
    "journal.clustered": "redis_cluster",
    "journal.unknown": "redis_unknown",
}
LOST = "deliveries that were acknowledged and not split yet would be lost"


def examine(client: "Redis") -> Iterator[Finding]:
    """Yield what is wrong with Redis."""
    try:
        client.ping()
        for found in redis_checks.findings(client):
            level = Level.PROBLEM if found.fatal else Level.ADVICE
            what, fix = _split(found.sentence)
            yield Finding(CHECKS[found.name], what, LOST, fix, level)
        info = client.info()
    except ResponseError:
        return  # INFO is not allowed: said above
    except RedisError as error:
        yield Finding(
            "redis_down",
            f"Redis does not answer: {describe(error)}",
            "deliveries go to Postgres, and handlers wait",
            "start it, or let REDIS_URL lead to it",
        )
        return
    yield from judge(info)
    yield from _clock(client)


def judge(info: dict[str, Any]) -> Iterator[Finding]:
    """Yield what INFO shows. Pure: no I/O."""
    yield from _version(info)
    if info.get("role") in ("slave", "replica"):
        yield Finding(
            "redis_role",
            "REDIS_URL leads to a replica",
            "it takes no writes: deliveries go to Postgres, and handlers wait",
            "let REDIS_URL lead to the primary",
        )
    for name, value in info.items():
        if name.startswith("slave") and isinstance(value, dict) and value.get("state") != "online":
            yield Finding(
                "redis_replication",
                f"the replica {value.get('ip')}:{value.get('port')} is {value.get('state')}",
                "a failover to it would lose deliveries",
                "look at its log; it needs to reach the primary",
                Level.ADVICE,
            )
    if info.get("aof_enabled") and info.get("aof_last_write_status", "ok") != "ok":
        yield Finding(
            "redis_disk",
            "Redis could not write its append-only file",
            "it refuses writes until it can: deliveries go to Postgres",
            "free its disk; its log says what failed",
        )
    maximum, used = int(info.get("maxmemory") or 0), int(info.get("used_memory") or 0)
    if maximum and used > MOST_FULL * maximum:
        yield Finding(
            "redis_memory",
            f"Redis uses {used / maximum:.0%} of its maxmemory",
            "when it is full it takes no delivery: they go to Postgres",
            "raise maxmemory, or see in `neverdrop status` what waits",
        )
    clients, limit = int(info.get("connected_clients") or 0), int(info.get("maxclients") or 0)
    if limit and clients > MOST_FULL * limit:
        yield Finding(
            "redis_connections",
            f"{clients} of {limit} connections are taken",
            "processes that start would get none",
            "raise maxclients, or find out who holds so many: CLIENT LIST",
        )


def _version(info: dict[str, Any]) -> Iterator[Finding]:
    name, oldest = ("Valkey", OLDEST_VALKEY) if info.get("valkey_version") else ("Redis", OLDEST_REDIS)
    text = str(info.get("valkey_version") or info.get("redis_version") or "")
    parts = [int(part) for part in text.split(".")[:2] if part.isdecimal()]
    if parts and tuple(parts) < oldest:
        yield Finding(
            "redis_version",
            f"{name} is {text}",
            f"Neverdrop is tested with {name} {oldest[0]}.{oldest[1]} and later",
            "upgrade it",
        )


def _clock(client: "Redis") -> Iterator[Finding]:
    before = time.time()
    seconds, microseconds = client.time()
    middle = (before + time.time()) / 2
    yield from clock("redis_clock", "Redis", seconds + microseconds / 1e6 - middle)


def clock(check: str, store: str, ahead: float) -> Iterator[Finding]:
    """Yield a finding where a store's clock differs from this machine's. Pure: no I/O."""
    if abs(ahead) > CLOCK_SECONDS:
        yield Finding(
            check,
            f"{store}'s clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this machine's",
            "ages and the order of what was accepted by several machines are wrong by as much",
            "let NTP set the clocks of all machines",
            Level.ADVICE,
        )


def _split(sentence: str) -> tuple[str, str]:
    """Return what redis_checks says is wrong, and what it says to do."""
    what, _, fix = sentence.removesuffix(".").rpartition(". ")
    return (what, fix) if what else (fix, fix)
