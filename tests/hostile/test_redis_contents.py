"""Whoever can write to Redis ends no sweep, and nobody's view of the backlog, by what they write under its keys."""

import json
from uuid import uuid4

import pytest
from prometheus_client import generate_latest

from app.broker import arguments_of, quarantined
from app.recovery import sweeper
from app.stores import redis_keys as keys
from app.watch import target_health
from app.watch.backlog import transport
from app.web import metrics
from tests.helpers.core import Core
from tests.helpers.factories import wire
from tests.integration.cli.support import run

pytestmark = pytest.mark.core(of_process=True)

HEALTH = {"at": 9e18, "breaker": "closed"}
UNKNOWN_ID = (
    "0198f3a2-7c1d-7000-8000-000000000001"  # the same in each process of a run, as names of tests must be
)
JUNK = (
    b"", b"\xff\xfe\x00", b"nothing", b"null", b"7", b"-1", b"9" * 5000, b"1e999", b"{}", b"[" * 100_000, b'"x"',
    b'{"at": "x"}', json.dumps(HEALTH | {"breaker": "ajar"}).encode(),
    json.dumps(HEALTH | {"p99_seconds": {}}).encode(),
    UNKNOWN_ID.encode(), f"{UNKNOWN_ID}\n".encode(),
)  # fmt: skip
HASHES = (keys.JOURNAL, keys.JOURNAL_REQUEUES, keys.BEATS, keys.QUARANTINE_COUNTS, keys.TARGETS_HEALTH)
SORTED_SETS = (
    keys.JOURNAL_INDEX, keys.JOURNAL_REQUEUED, keys.WAKES, keys.URGENT_WAKES, keys.BULK_WAKES, keys.UNKNOWN_HANDLERS,
    keys.WORKERS, keys.RELEASES,
)  # fmt: skip
STRINGS = (keys.SWEPT_LANE, keys.BEAT, keys.OUTBOX_WAKE, keys.TARGETS_WAKE, f"{keys.ALERT_PREFIX}x")
LISTS = (keys.QUARANTINE,)


def write_everywhere(core: Core, junk: bytes) -> None:
    for name in HASHES:
        core.redis.hset(name, mapping={junk: junk, b"crm|forwarder": junk})
    for name in SORTED_SETS:
        core.redis.zadd(name, {junk: 1})
    for name in STRINGS:
        core.redis.set(name, junk)
    for name in LISTS:
        core.redis.lpush(name, junk)


@pytest.mark.parametrize("junk", JUNK, ids=lambda junk: repr(junk[:20]))
def test_what_others_write_ends_no_sweep_and_hides_no_number(core: Core, junk: bytes) -> None:
    lost = str(uuid4())
    core.redis.hset(keys.JOURNAL, lost, wire({"entry": []}))
    core.redis.zadd(keys.JOURNAL_INDEX, {lost: 1})
    write_everywhere(core, junk)
    assert sweeper.sweep_journal(core.redis, 0) >= 1
    enqueued = [arguments_of(message)[0] for message in core.redis.lrange("webhooks", 0, -1)]
    assert lost in [id_ for group in enqueued for id_, _ in group]
    sweeper.exhausted_deliveries(core.redis, 0)
    sweeper.sweep_lanes(core.engine, core.redis, 0, 20)
    assert transport(core.redis).quarantined == 1
    assert len(quarantined(core.redis)) == 1
    assert target_health.read(core.redis) == {}
    assert b"neverdrop_up" in generate_latest(metrics.backlog_registry)
    for words in (["status"], ["status", "--json"], ["quarantine", "list"], ["target", "stats"]):
        answer = run(*words)
        assert answer.exception is None, answer.exception
