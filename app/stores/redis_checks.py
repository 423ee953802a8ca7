"""Whether Redis keeps what it is given, found out by asking it."""

from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import BusyLoadingError, ResponseError

from app.errors import NeverdropError
from config.logging import get_logger

log = get_logger(__name__)


class UnsafeJournal(NeverdropError):
    """Redis answers, and would lose what it is given; the text says what to set."""


@dataclass(frozen=True, slots=True)
class Finding:
    """``name`` is a log event; ``fatal`` says that acknowledged webhooks would be lost."""

    name: str
    sentence: str
    fatal: bool = False


def check_durability(client: "Redis", production: bool) -> None:
    """Warn of what is wrong; UnsafeJournal in production where webhooks would be lost, RedisError without Redis."""
    for finding in findings(client):
        if finding.fatal and production:
            raise UnsafeJournal(finding.sentence)
        log.warning(finding.name, advice=finding.sentence)


def findings(client: "Redis") -> list[Finding]:
    """What is wrong with this Redis as a journal; RedisError when it does not answer.

    What Redis does not tell (managed ones forbid CONFIG) is taken as right.
    """
    memory: dict[str, Any] = client.info("memory")
    persistence: dict[str, Any] = client.info("persistence")
    if persistence.get("loading"):  # it takes no write yet, and says that it keeps no AOF
        raise BusyLoadingError("Redis is loading its data")
    return [
        *_eviction(str(memory.get("maxmemory_policy", "noeviction"))),
        *_durability(bool(persistence.get("aof_enabled", 1)), _appendfsync(client)),
    ]


def _eviction(policy: str) -> list[Finding]:
    if policy == "noeviction":
        return []
    return [
        Finding(
            "journal.evicts",
            f"Redis has maxmemory-policy {policy}: short of memory it would throw away accepted webhooks. "
            "Set it to noeviction.",
            fatal=True,
        )
    ]


def _durability(aof: bool, appendfsync: str) -> list[Finding]:
    if aof and appendfsync == "always":
        return []
    said = f"appendfsync {appendfsync}" if aof else "appendonly no"
    return [
        Finding(
            "journal.not_durable",
            f"Redis has {said}: when it crashes, webhooks that were acknowledged just before are lost. "
            "Set appendonly yes and appendfsync always.",
        )
    ]


def _appendfsync(client: "Redis") -> str:
    try:
        return str(client.config_get("appendfsync").get("appendfsync", "always"))
    except ResponseError:
        return "always"
