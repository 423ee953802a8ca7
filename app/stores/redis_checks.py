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
class Weakness:
    """``name`` is a log event; ``fatal`` says that acknowledged webhooks would be lost."""

    name: str
    sentence: str
    fatal: bool = False


UNKNOWN = Weakness(
    "journal.unknown",
    "This user of Redis may not ask INFO, so nobody knows whether Redis keeps what it confirms. "
    "Allow it (+info +config|get), or see to appendonly yes, appendfsync always and noeviction yourself.",
)
CLUSTER = Weakness(
    "journal.clustered",
    "Redis runs in cluster mode, where one script cannot write the journal and the queue together. "
    "Set REDIS_URL to a Redis with cluster-enabled no.",
    fatal=True,
)
REWRITES = Weakness(
    "journal.not_durable",
    "Redis has no-appendfsync-on-rewrite yes: while it rewrites its AOF, webhooks are acknowledged before they are on "
    "disk. Set it to no.",
)


def check_durability(client: "Redis", production: bool) -> None:
    """Warn of what is wrong; UnsafeJournal where it cannot work, or in production where webhooks would be lost.

    RedisError when Redis does not answer.
    """
    for finding in findings(client):
        if finding is CLUSTER or (finding.fatal and production):
            raise UnsafeJournal(finding.sentence)
        log.warning(finding.name, advice=finding.sentence)


def findings(client: "Redis") -> list[Weakness]:
    """What is wrong with this Redis as a journal; RedisError when it does not answer.

    What Redis does not tell (managed ones forbid CONFIG, a narrow user INFO too) is taken as right.
    """
    try:
        memory, persistence, cluster = (_info(client, part) for part in ("memory", "persistence", "cluster"))
    except ResponseError:
        return [UNKNOWN]
    if persistence.get("loading"):  # it takes no write yet, and says that it keeps no AOF
        raise BusyLoadingError("Redis is loading its data")
    return [
        *([CLUSTER] if cluster.get("cluster_enabled") else []),
        *_eviction(str(memory.get("maxmemory_policy", "noeviction"))),
        *_durability(bool(persistence.get("aof_enabled", 1)), _option(client, "appendfsync", "always")),
        *([REWRITES] if _option(client, "no-appendfsync-on-rewrite", "no") == "yes" else []),
    ]


def _info(client: "Redis", section: str) -> dict[str, Any]:
    facts: dict[str, Any] = client.info(section)
    return facts


def _eviction(policy: str) -> list[Weakness]:
    if policy == "noeviction":
        return []
    return [
        Weakness(
            "journal.evicts",
            f"Redis has maxmemory-policy {policy}: short of memory it would throw away accepted webhooks. "
            "Set it to noeviction.",
            fatal=True,
        )
    ]


def _durability(aof: bool, appendfsync: str) -> list[Weakness]:
    if aof and appendfsync == "always":
        return []
    said = f"appendfsync {appendfsync}" if aof else "appendonly no"
    return [
        Weakness(
            "journal.not_durable",
            f"Redis has {said}: when it crashes, webhooks that were acknowledged just before are lost. "
            "Set appendonly yes and appendfsync always.",
        )
    ]


def _option(client: "Redis", name: str, default: str) -> str:
    try:
        return str(client.config_get(name).get(name, default))
    except ResponseError:
        return default
