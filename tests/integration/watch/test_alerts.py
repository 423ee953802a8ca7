"""Each alert, provoked for real, sent once to the log and to a webhook, and cleared."""

import json
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from redis import Redis
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.orm import Session

from app.stores import connections
from app.stores.models import Alert, JobState
from app.stores.redis_keys import WORKERS
from app.watch import alert_states, alerts, notifications
from app.watch.alerts import watch
from app.watch.conditions import Action, AlertChange, AlertName
from app.watch.heartbeats import beat, member
from config.logging import configure
from config.settings import Settings
from tests.helpers.receiver import Receiver, receiver
from tests.helpers.rows import add_events, add_sample, ago

NOWHERE = "postgresql+psycopg2://localhost:1/none?connect_timeout=1"


@pytest.fixture
def webhook() -> Iterator[Receiver]:
    with receiver() as found:
        yield found


@pytest.fixture
def thresholds(env: Callable[..., Settings], webhook: Receiver) -> Settings:
    """Low ones, and workers that are alive."""
    settings = env(
        ALERT_WEBHOOK_URL=webhook.url,
        ALERT_BACKLOG_SIZE="10",
        ALERT_BACKLOG_GROWTH="1000",
        ALERT_OLDEST_SECONDS="600",
        ALERT_DEAD_LETTERS="1",
        ALERT_UNHANDLED="3",
        ALERT_NO_WORKER_SECONDS="0.001",
    )
    for worker in (member("ingest@a", ["webhooks"]), member("worker@a", ["conversations"])):
        beat(connections.redis(), worker)
    return settings


@pytest.fixture
def engine(thresholds: Settings) -> Engine:
    return connections.engine()


@pytest.fixture
def redis(thresholds: Settings) -> "Redis":
    return connections.redis()


@pytest.fixture
def look(
    engine: Engine, redis: "Redis", thresholds: Settings
) -> Callable[[], list[tuple[AlertName, Action]]]:
    return lambda: [(change.name, change.action) for change in watch(engine, redis, thresholds)]


Look = Callable[[], list[tuple[AlertName, Action]]]


def sent_alerts(webhook: Receiver) -> list[tuple[str, str]]:
    return [(message["alert"], message["status"]) for message in webhook.messages]


def raised(engine: Engine) -> list[str]:
    with Session(engine) as session:
        return list(session.scalars(select(Alert.name).where(Alert.raised)))


def finish(engine: Engine, state: JobState = JobState.DONE) -> None:
    with engine.begin() as connection:
        connection.execute(
            text(f"""
            WITH gone AS (DELETE FROM jobs RETURNING *)
            INSERT INTO outcomes (id, event_id, lane, lane_name_id, finished_at, state, handler)
            SELECT id, event_id, lane, lane_name_id, clock_timestamp(), '{state}', handler FROM gone
        """)
        )
        connection.execute(text(f"UPDATE outcomes SET state = '{state}'"))


def provoke_size(engine: Engine, _redis: "Redis") -> None:
    add_events(engine, 10)


def provoke_growth(engine: Engine, _redis: "Redis") -> None:
    add_sample(engine, size=-1000, seconds_old=100)
    add_events(engine)


def provoke_age(engine: Engine, _redis: "Redis") -> None:
    add_events(engine, accepted_at=ago(700))


def provoke_dead_letter(engine: Engine, _redis: "Redis") -> None:
    add_events(engine, state=JobState.DEAD)


def restore_events(engine: Engine, _redis: "Redis") -> None:
    finish(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE backlog_samples SET size = 0"))


def provoke_no_worker(_engine: Engine, redis: "Redis") -> None:
    redis.zrem(WORKERS, member("worker@a", ["conversations"]))


def restore_worker(_engine: Engine, redis: "Redis") -> None:
    beat(redis, member("worker@a", ["conversations"]))


def provoke_no_ingest(_engine: Engine, redis: "Redis") -> None:
    redis.zrem(WORKERS, member("ingest@a", ["webhooks"]))


def restore_ingest(_engine: Engine, redis: "Redis") -> None:
    beat(redis, member("ingest@a", ["webhooks"]))


def provoke_unhandled(engine: Engine, _redis: "Redis") -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE backlog_samples SET at = at - interval '1 minute'"))
    unhandled = {"state": JobState.UNHANDLED, "finished_at": ago(5)}
    add_events(engine, 3, **unhandled)
    add_events(engine, 3, **unhandled, kind="status")
    add_events(engine, 3, state=JobState.DONE, finished_at=ago(5), handler="shop.answer")


def restore_unhandled(engine: Engine, _redis: "Redis") -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE backlog_samples SET at = at - interval '2 hours'"))
        connection.execute(text("UPDATE outcomes SET finished_at = finished_at - interval '2 hours'"))


Act = Callable[[Engine, "Redis"], None]


@pytest.mark.parametrize(
    ("name", "provoke", "clear", "looks"),
    [
        (AlertName.BACKLOG_SIZE, provoke_size, restore_events, 1),
        (AlertName.BACKLOG_GROWTH, provoke_growth, restore_events, 1),
        (AlertName.BACKLOG_AGE, provoke_age, restore_events, 1),
        (AlertName.DEAD_LETTERS, provoke_dead_letter, restore_events, 1),
        (AlertName.UNHANDLED, provoke_unhandled, restore_unhandled, 2),  # counted by the sample of the first
        (AlertName.NO_WORKER, provoke_no_worker, restore_worker, 2),  # seen, then lasting
        (AlertName.NO_INGEST, provoke_no_ingest, restore_ingest, 2),
    ],
)
def test_an_alert_is_raised_told_once_and_cleared(
    name: AlertName,
    provoke: Act,
    clear: Act,
    looks: int,
    engine: Engine,
    redis: "Redis",
    look: Look,
    webhook: Receiver,
) -> None:
    assert look() == []
    provoke(engine, redis)
    assert [change for _ in range(looks) for change in look()] == [(name, Action.RAISE)]
    assert raised(engine) == [name]
    assert look() == []
    clear(engine, redis)
    assert look() == [(name, Action.CLEAR)]
    assert raised(engine) == []
    assert look() == []
    assert sent_alerts(webhook) == [(name, "raised"), (name, "cleared")]


def test_the_webhook_gets_a_text_for_people_and_fields_for_programs(
    engine: Engine, look: Look, webhook: Receiver
) -> None:
    add_events(engine, 2, state=JobState.DEAD)
    look()
    (message,) = webhook.messages
    assert message["text"].startswith("Neverdrop: dead_letters raised: 2 dead letters")
    assert (message["value"], message["threshold"]) == (2, 1)
    assert message["at"]


def test_a_webhook_that_fails_is_tried_again_by_the_next_watch(
    engine: Engine, look: Look, webhook: Receiver
) -> None:
    webhook.status = 503
    add_events(engine, state=JobState.DEAD)
    assert look() == [(AlertName.DEAD_LETTERS, Action.RAISE)]
    assert sent_alerts(webhook) == []
    webhook.status = 200
    assert look() == []
    assert sent_alerts(webhook) == [("dead_letters", "raised")]
    assert look() == []
    assert sent_alerts(webhook) == [("dead_letters", "raised")]


def test_without_a_webhook_nothing_waits_to_be_told(env: Callable[..., Settings]) -> None:
    settings = env(ALERT_DEAD_LETTERS="1")
    add_events(connections.engine(), state=JobState.DEAD)
    watch(connections.engine(), connections.redis(), settings)
    with Session(connections.engine()) as session:
        assert session.scalar(select(Alert.notified_at).where(Alert.name == "dead_letters"))


def test_several_watches_at_once_raise_one_alert(engine: Engine, redis: "Redis", webhook: Receiver) -> None:
    raise_it = AlertChange(Action.RAISE, AlertName.DEAD_LETTERS, "one", 1, 1)
    ready = threading.Barrier(4)
    ours: list[bool] = []

    def compete() -> None:
        ready.wait()
        with engine.begin() as connection:
            ours.append(alert_states.apply(connection, raise_it))

    watches = [threading.Thread(target=compete) for _ in range(4)]
    for one in watches:
        one.start()
    for one in watches:
        one.join()
    assert sorted(ours) == [False, False, False, True]


def test_several_watches_at_once_tell_the_webhook_once(
    engine: Engine, thresholds: Settings, webhook: Receiver
) -> None:
    with engine.begin() as connection:
        alert_states.apply(connection, AlertChange(Action.RAISE, AlertName.DEAD_LETTERS, "one", 1, 1))
    watches = [threading.Thread(target=notifications.deliver, args=(engine, thresholds)) for _ in range(4)]
    for one in watches:
        one.start()
    for one in watches:
        one.join()
    assert sent_alerts(webhook) == [("dead_letters", "raised")]


def test_an_alert_is_a_log_line(
    engine: Engine, look: Look, thresholds: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    configure(thresholds, "ingest")
    add_events(engine, state=JobState.DEAD)
    look()
    root.handlers, root.level = before
    lines: list[dict[str, Any]] = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    (line,) = [line for line in lines if line["event"] == "alert.raised"]
    assert (line["alert"], line["value"], line["level"]) == ("dead_letters", 1, "error")


def test_a_database_that_refuses_is_left_to_the_timers(redis: "Redis", thresholds: Settings) -> None:
    assert watch(create_engine(NOWHERE), redis, thresholds) == []


def test_a_database_that_hangs_does_not_hang_the_watch(
    engine: Engine, redis: "Redis", thresholds: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alerts, "DATABASE_SECONDS", 0.2)
    monkeypatch.setattr(alerts, "_database", alerts.Probe())
    with engine.connect() as connection:
        server = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    os.kill(server, signal.SIGSTOP)  # the pooled connection that the watch will use
    try:
        assert watch(engine, redis, thresholds) == []
    finally:
        os.kill(server, signal.SIGCONT)
