"""What is wrong with stores, processes and settings is named, with why and what to do."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from app import doctor
from app.dev.stack.embedded import free_port
from app.doctor import Finding, Level, Outside, forgotten, outside, postgres_store, processes, redis_store
from app.doctor.processes import Worker
from app.handlers.self_check import self_check
from app.watch import PartialBacklog, RedisBacklog, heartbeats, releases, reporting
from app.watch.backlog import PostgresBacklog
from config.settings import SELF_CHECK_FIELD, Settings, settings
from tests.conftest import VERIFY_TOKEN
from tests.helpers import factories as f
from tests.helpers.callback import callback_url
from tests.helpers.core import Core, text_body
from tests.integration.cli.support import run

pytestmark = pytest.mark.core(messages="failing", max_attempts=1, of_process=True)
ALL_QUEUES = ("webhooks", "conversations", "maintenance", "outbox")


def names(core: Core) -> set[str]:
    found = doctor.everything(settings(), core.engine, core.redis, Outside(), lambda _: None)
    return {each.check for each in found}


@pytest.fixture
def at_work(core: Core, env: Callable[..., Settings]) -> Core:
    """Workers for each queue, and a handler."""
    env(HANDLERS="tests.acceptance.handlers_recorded")
    heartbeats.beat(core.redis, heartbeats.member("all@host", ALL_QUEUES))
    return core


# The tests' Postgres does without a disk on purpose
EXPECTED = {"postgres_durability"}


def test_a_healthy_deployment_has_no_other_finding(at_work: Core) -> None:
    assert names(at_work) == EXPECTED


def test_queues_that_nobody_consumes_are_named(core: Core, env: Callable[..., Settings]) -> None:
    env(HANDLERS="tests.acceptance.handlers_recorded")
    assert names(core) == EXPECTED | {"no_ingest", "no_worker", "no_sender"}


def test_a_store_that_is_away_is_a_finding_and_no_traceback(
    at_work: Core, env: Callable[..., Settings]
) -> None:
    env(REDIS_URL=f"redis://127.0.0.1:{free_port()}/0", REDIS_TIMEOUT_SECONDS="1")
    result = run("doctor", "--json")
    assert "redis_down" in {json.loads(line)["check"] for line in result.stdout.splitlines()}
    assert result.exit_code == 1
    env(REDIS_URL="redis://localhost", DATABASE_URL=f"postgresql://127.0.0.1:{free_port()}/none")
    result = run("doctor", "--json")
    assert "database_down" in {json.loads(line)["check"] for line in result.stdout.splitlines()}


@pytest.mark.parametrize(
    ("statement", "check"),
    [
        ("UPDATE alembic_version SET version_num = '0012'", "schema"),
        ("UPDATE alembic_version SET version_num = '9999'", "schema"),
        (
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'events_lane'::regclass",
            "postgres_indexes",
        ),
    ],
)
def test_what_is_wrong_with_the_tables_is_named(at_work: Core, statement: str, check: str) -> None:
    at_work.execute(statement)
    assert check in names(at_work)


def test_a_pause_that_somebody_has_forgotten_is_named(at_work: Core) -> None:
    at_work.ingest(text_body("one", "two"))
    at_work.execute("UPDATE lanes SET paused_at = now() - interval '2 days', paused_by = 'ada'")
    (found,) = forgotten.examine(at_work.engine)
    assert "paused without an end: 1," in found.what
    assert "2 of their jobs wait" in found.what
    assert "paused" in names(at_work)
    for at, until in (("1 hour", "NULL"), ("2 days", "now() + interval '1 day'")):
        at_work.execute(f"UPDATE lanes SET paused_at = now() - interval '{at}', paused_until = {until}")
        assert "paused" not in names(at_work)


def test_a_transaction_that_is_open_for_long_is_named(at_work: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_store, "OLD_TRANSACTION_SECONDS", -1)
    with at_work.engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
        assert "postgres_transaction" in names(at_work)


def test_a_pooler_of_transactions_is_named(at_work: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not postgres_store.pools_transactions(at_work.engine)
    monkeypatch.setattr(postgres_store, "pools_transactions", lambda _: True)
    assert "postgres_pooler" in names(at_work)


@pytest.mark.parametrize(
    ("info", "check"),
    [
        ({"redis_version": "5.0.7"}, "redis_version"),
        ({"valkey_version": "7.1.0"}, "redis_version"),
        ({"role": "slave"}, "redis_role"),
        ({"slave0": {"ip": "10.0.0.1", "port": 6379, "state": "wait_bgsave"}}, "redis_replication"),
        ({"aof_enabled": 1, "aof_last_write_status": "err"}, "redis_disk"),
        ({"maxmemory": 100, "used_memory": 90}, "redis_memory"),
        ({"maxclients": 100, "connected_clients": 90}, "redis_connections"),
    ],
)
def test_what_redis_tells_of_itself_is_judged(info: dict[str, Any], check: str) -> None:
    assert [each.check for each in redis_store.judge(info)] == [check]


def test_a_clock_that_is_wrong_is_named() -> None:
    assert list(redis_store.clock("redis_clock", "Redis", 0.5)) == []
    (finding,) = redis_store.clock("redis_clock", "Redis", -90)
    assert "90 s behind" in finding.what


def test_what_redis_would_lose_is_named(at_work: Core) -> None:
    at_work.redis.config_set("appendfsync", "everysec")
    try:
        assert "redis_persistence" in names(at_work)
    finally:
        at_work.redis.config_set("appendfsync", "always")


# Processes


def worker(name: str, handlers: tuple[str, ...] = ("mybot.note",), release: str | None = None) -> Worker:
    return Worker(name, release or reporting.release(), frozenset(ALL_QUEUES), frozenset(handlers))


def judged(*workers: Worker, raised: frozenset[str] = frozenset()) -> list[Finding]:
    transport = RedisBacklog(workers={each.name: each.queues for each in workers})
    measured = PartialBacklog(PostgresBacklog(raised=raised), transport)
    return list(processes.judge(measured, workers, {"backlog_age": "the oldest is 400 s old"}))


def test_a_process_that_cannot_be_asked_says_its_release(
    at_work: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    releases.say(at_work.redis, "web")
    assert names(at_work) == EXPECTED
    with monkeypatch.context() as earlier:
        earlier.setattr(reporting, "release", lambda: "0.0.9")
        releases.say(at_work.redis, "forwarder")
    assert names(at_work) == EXPECTED | {"versions"}
    releases.leave(at_work.redis, "web")
    assert names(at_work) == EXPECTED | {"versions"}  # it is not that of the command


def test_workers_with_other_handlers_or_releases_are_named() -> None:
    assert judged(worker("a"), worker("b")) == []
    (handlers,) = judged(worker("a"), worker("b", ("mybot.note", "mycrm.tell")))
    assert (handlers.check, "a: without mycrm.tell" in handlers.what) == ("handlers", True)
    (versions,) = judged(worker("a"), worker("b", release="0.0.9"))
    assert (versions.check, "0.0.9: b" in versions.what, versions.level) == ("versions", True, Level.ADVICE)


def test_while_redis_takes_no_writes_nobody_is_said_to_be_missing() -> None:
    """As when it is full: heartbeats cannot be written, and who reads them would start what runs."""
    raised = frozenset({"redis_down"})
    assert {finding.check for finding in judged(raised=raised)} == {"redis_down"}
    assert "no_worker" in {finding.check for finding in judged()}


def test_each_alert_that_is_raised_is_a_finding_with_its_text() -> None:
    (finding,) = judged(worker("a"), raised=frozenset({"backlog_age"}))
    assert (finding.check, finding.what) == ("backlog_age", "the oldest is 400 s old")
    assert "retry it" in finding.fix


# Settings


def test_wrong_settings_are_findings_and_the_stores_are_looked_at_all_the_same(
    at_work: Core, env: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NEVERDROP_ENV", "production")
    monkeypatch.setenv("WHATSAPP_APP_SECRET", "")
    settings.cache_clear()
    result = run("doctor", "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert "WHATSAPP_APP_SECRET: is not set" in next(
        each["what"] for each in found if each["check"] == "settings"
    )
    assert {"postgres_durability", "alerting", "retention", "metrics"} <= {each["check"] for each in found}
    monkeypatch.setenv("PORT", "web")
    settings.cache_clear()
    assert "settings" in run("doctor", "--json").stdout


def test_a_module_that_cannot_be_imported_is_named(at_work: Core, env: Callable[..., Settings]) -> None:
    env(HANDLERS="no_such_bot")
    assert "handler_modules" in names(at_work)


def test_strict_ends_with_1_for_advice_too(at_work: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    advice = Finding("alerting", "nobody is told", "it matters", "do this", Level.ADVICE)
    monkeypatch.setattr("app.doctor.everything", lambda *_: iter([advice]))
    assert run("doctor").exit_code == 0
    assert run("doctor", "--strict").exit_code == 1
    text = run("doctor").output
    assert "ADVICE alerting: nobody is told\n  why:  it matters\n  fix:  do this\n" in text
    monkeypatch.setattr("app.doctor.everything", lambda *_: iter([]))
    assert (run("doctor", "--strict").exit_code, run("doctor").output) == (0, "nothing found\n")


# A delivery through everything


def test_a_delivery_is_seen_done(core: Core) -> None:
    core.on("other", SELF_CHECK_FIELD, self_check)

    def take(body: bytes) -> None:
        core.ingest(body)
        core.run()

    with callback_url(VERIFY_TOKEN, take) as url:
        delivered = outside.deliver(url, f.APP_SECRET.encode(), core.engine, lambda _: None)
    assert delivered.findings == ()
    assert delivered.done_seconds is not None
    assert core.seen == []  # no handler of the team's was given it


def test_a_delivery_that_nobody_takes_or_finishes_is_named(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outside, "DONE_SECONDS", 0.0)
    with callback_url(VERIFY_TOKEN) as url:
        (refused,) = outside.deliver(url, b"another secret", core.engine, print).findings
        assert "401: it has another WHATSAPP_APP_SECRET" in refused.what
        (waits,) = outside.deliver(url, f.APP_SECRET.encode(), core.engine, print).findings
        assert "is not in the tables" in waits.what
    (away,) = outside.deliver("http://127.0.0.1:9/", b"x", core.engine, print).findings
    assert (away.check, "did not take a signed delivery" in away.what) == ("deliver", True)
