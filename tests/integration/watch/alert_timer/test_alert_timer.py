"""What each process sees by itself: beat, handlers, growth, and what another process still sees."""

from collections.abc import Callable

import pytest
from redis import Redis
from sqlalchemy import Engine, text

from app.broker.quarantine import drop_quarantined, quarantine, quarantined
from app.stores.redis_keys import ALERT_PREFIX
from app.watch import alert_marks, alert_states, alert_timer, beat_signal, unknown_handlers
from app.watch.alert_timer import AlertTimer
from app.watch.conditions import AlertName
from app.watch.observation import RecentCount
from config.celery import CONVERSATIONS
from config.settings import Settings
from tests.helpers.receiver import Receiver
from tests.integration.watch.alert_timer.support import Clock, publish_by_beat, raised, sent


def test_beat_that_publishes_nothing_is_missed(
    timer: AlertTimer,
    redis: "Redis",
    webhook: Receiver,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    timer.look()
    redis.delete(beat_signal.BEAT)
    timer.look()
    assert sent(webhook) == []
    clock.now += 1
    timer.look()
    publish_by_beat(monkeypatch)
    timer.look()
    assert sent(webhook) == [("no_beat", "raised"), ("no_beat", "cleared")]


def test_handlers_that_no_worker_knows_are_named(
    timer: AlertTimer, redis: "Redis", webhook: Receiver, engine: Engine
) -> None:
    unknown_handlers.record(redis, ["shop.answer"])
    timer.look()
    assert raised(engine) == {"unknown_handler"}
    assert webhook.messages[0]["reason"].endswith("shop.answer")
    redis.delete(unknown_handlers.UNKNOWN_HANDLERS)
    timer.look()
    assert sent(webhook) == [("unknown_handler", "raised"), ("unknown_handler", "cleared")]


def test_a_message_in_quarantine_is_told_until_somebody_drops_it(
    timer: AlertTimer, redis: "Redis", webhook: Receiver, engine: Engine
) -> None:
    quarantine(CONVERSATIONS, b"no message", ValueError("headers"))
    timer.look()
    assert raised(engine) == {"quarantine"}
    drop_quarantined(redis, [message.id for message in quarantined(redis)])
    timer.look()
    assert sent(webhook) == [("quarantine", "raised"), ("quarantine", "cleared")]


def test_an_alert_that_another_process_still_sees_is_not_cleared(
    engine: Engine,
    redis: "Redis",
    settings: Settings,
    webhook: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alert_states, "SEEN_SECONDS", 3600)
    totals = {"refusing": 0, "quiet": 0}
    refusing, quiet = (
        AlertTimer(
            engine,
            redis,
            settings,
            {AlertName.SIGNATURES_REFUSED: RecentCount(lambda name=name: totals[name], 3600)},  # type: ignore[misc]
        )
        for name in totals
    )
    totals["refusing"] = 3
    refusing.look()
    quiet.look()
    assert raised(engine) == {"signatures_refused"}
    monkeypatch.setattr(alert_states, "SEEN_SECONDS", 0)
    quiet.look()
    assert sent(webhook) == [("signatures_refused", "raised"), ("signatures_refused", "cleared")]


def test_growth_is_counted_within_its_window() -> None:
    clock, totals = Clock(), [7]
    count = RecentCount(lambda: totals[0], 30, clock)
    totals[0] = 9
    assert count.read() == 2
    clock.now += 29
    assert count.read() == 2
    clock.now += 1
    totals[0] = 10
    assert count.read() == 1
    clock.now += 60
    assert count.read() == 0


def test_a_backlog_that_nobody_measures_is_measured(
    timer: AlertTimer, engine: Engine, webhook: Receiver, clock: Clock
) -> None:
    timer.look()
    clock.now += alert_timer.STALE_SECONDS
    timer.look()
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM backlog_samples")).scalar_one() == 1


def test_the_thread_outlives_whatever_a_look_raises_and_ends_when_told(
    timer: AlertTimer, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []
    twice = alert_timer.threading.Event()

    def look() -> None:
        looks.append(1)
        if len(looks) == 2:
            twice.set()
        raise ValueError

    monkeypatch.setattr(alert_timer, "INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(timer, "look", look)
    timer.start()
    assert twice.wait(60)
    timer.stop()
    assert not timer._thread.is_alive()


HOUR_SECONDS = 3600


def test_what_expires_does_so_also_after_redis_was_set_back_an_hour(redis: "Redis") -> None:
    redis.set(beat_signal.BEAT, 1, ex=HOUR_SECONDS)
    redis.set(f"{ALERT_PREFIX}no_beat", "text", ex=HOUR_SECONDS)
    seconds, _ = redis.time()
    redis.zadd(unknown_handlers.UNKNOWN_HANDLERS, {"shop.answer": (seconds + HOUR_SECONDS) * 1000})
    assert beat_signal.is_alive(redis)
    assert alert_marks.raised(redis) == {"no_beat"}
    assert unknown_handlers.names(redis) == []
    assert redis.ttl(beat_signal.BEAT) <= beat_signal.EXPIRE_SECONDS
    assert redis.ttl(f"{ALERT_PREFIX}no_beat") <= alert_marks.MARK_SECONDS


def test_a_mark_expires(redis: "Redis", timer: AlertTimer, closed: Callable[[bool], None]) -> None:
    closed(True)
    timer.look()
    assert 0 < int(redis.ttl(f"{ALERT_PREFIX}database_down")) <= alert_marks.MARK_SECONDS
    closed(False)
