"""The pipeline's page and a conversation's page over HTTP."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from app.broker.quarantine import quarantine
from app.dev.stack.embedded import free_port
from app.stores.redis_keys import JOURNAL, lane_claim
from app.watch import TargetHealth, alerts, backlog, target_health
from app.watch.heartbeats import beat, member
from config.celery import CONVERSATIONS
from config.settings import Settings
from tests.helpers import factories as f
from tests.helpers import sample_data
from tests.helpers.core import Core, text_body
from tests.helpers.flower import GRACE, Page, flower_page
from tests.helpers.rows import add_stored_delivery
from tests.helpers.targets import SECRET

pytestmark = pytest.mark.core(messages="failing")

HOUR_POINTS = 60
DAY_POINTS = 144


def lane_of(core: Core, words: str) -> int:
    return int(core.event(words).lane)


def test_the_numbers_are_those_of_the_tables_and_of_redis(core: Core, page: Page) -> None:
    core.broken.add("fails")
    core.ingest(text_body("runs", "fails", "waits"))
    core.run()
    add_stored_delivery(core.engine)
    core.redis.hset(JOURNAL, "a", b"{}")
    core.redis.set(lane_claim(77), "token")
    beat(core.redis, member("worker1@here", ["conversations"]))
    quarantine(CONVERSATIONS, b"no message", ValueError("headers"))
    now = page.get("/pipeline/numbers").json()
    assert now["quarantined"] == 1
    assert now["minute"] == {"arrived": 3, "done": 1, "failed_attempts": 1, "died": 0}
    assert (now["journal"], now["second_door"], now["pending"]) == (1, 1, 2)
    assert (now["claims"], now["workers"]) == (1, {"worker1@here": ["conversations"]})
    assert set(now["queues"]) == {"webhooks", "conversations", "outbox", "maintenance", "dead_letters"}
    assert now["oldest_seconds"] > 0


def test_how_targets_go_is_among_the_numbers(core: Core, page: Page) -> None:
    known = TargetHealth("open", 10, 8, last_error="answered 500")
    target_health.publish(core.redis, "forwarder@here/1", {"crm": known})
    now = page.get("/pipeline/numbers").json()
    (crm,) = now["targets"]
    assert (crm["name"], crm["breaker"], crm["failures"], crm["last_error"]) == (
        "crm",
        "open",
        8,
        "answered 500",
    )
    assert now["forwards_waiting"] == 0


def test_a_target_that_is_set_is_shown_before_anybody_posts_to_it_and_is_paused_by_name(
    core: Core, env: Callable[..., Settings]
) -> None:
    env(FORWARD_URL="https://bot.example", FORWARD_SECRET=SECRET)
    with flower_page() as page:
        (shown,) = page.get("/pipeline/numbers").json()["targets"]
        assert (shown["name"], shown["forwarders"], shown["paused"]) == ("forward", 0, None)
        assert page.post("/targets/forward/pause").status_code == 400  # without a reason
        assert page.post("/targets/other/pause", {"reason": "a test"}).status_code == 404
        assert page.post("/targets/forward/pause", {"reason": "a test"}).json() == {"changed": True}
        (shown,) = page.get("/pipeline/numbers").json()["targets"]
        assert (shown["paused"]["who"], shown["paused"]["reason"]) == ("ada", "a test")
        assert page.post("/targets/forward/resume").json() == {"changed": True}
        assert page.post("/targets/forward/resume").json() == {"changed": False}


def test_without_postgres_the_numbers_of_redis_are_shown(
    core: Core, page: Page, env: Callable[..., Settings]
) -> None:
    core.redis.hset(JOURNAL, "a", b"{}")
    env(DATABASE_URL=f"postgresql://127.0.0.1:{free_port()}/none")
    now = page.get("/pipeline/numbers").json()
    assert (now["journal"], now["pending"], now["unanswered"]) == (1, None, ["postgres"])


def test_a_sample_counts_what_happened_since_the_one_before(core: Core, page: Page) -> None:
    measured = backlog.measure(core.engine, core.redis, 300)
    core.broken.add("fails")
    with core.engine.begin() as connection:
        backlog.sample(connection, measured)
    core.ingest(text_body("runs", "fails"))
    core.run()
    later = "at = at - interval '10 s'"
    core.execute(f"UPDATE backlog_samples SET {later}")
    core.execute("UPDATE deliveries SET ingested_at = clock_timestamp() - interval '5 s'")
    core.execute("UPDATE outcomes SET finished_at = clock_timestamp() - interval '5 s' WHERE state = 'done'")
    core.execute("UPDATE past_attempts SET finished_at = clock_timestamp() - interval '5 s'")
    with core.engine.begin() as connection:
        backlog.sample(connection, backlog.measure(core.engine, core.redis, 300))
    (row,) = core.rows("SELECT * FROM backlog_samples ORDER BY at DESC LIMIT 1")
    assert (row.arrived, row.done, row.failed_attempts, row.died, row.pending) == (2, 1, 1, 0, 1)


def test_an_event_that_died_and_was_decided_about_since_is_among_those_that_died(
    core: Core, page: Page
) -> None:
    core.registry.handlers.clear()
    core.on("message", function=core.failing("twice", "once", "long ago"), max_attempts=1)
    with core.engine.begin() as connection:
        backlog.sample(connection, backlog.measure(core.engine, core.redis, 300))
    core.ingest(text_body("twice", "once", "long ago"))
    core.run()
    core.execute("UPDATE past_attempts SET finished_at = finished_at - interval '1 hour' WHERE job_id = :id",
                 id=core.event("long ago").id)  # fmt: skip
    page.post("/dead-letters/retry", {"ids": [core.event(words).id for words in ("twice", "long ago")]})
    core.broken.remove("long ago")
    core.run()
    page.post("/dead-letters/discard", {"ids": [core.event("once").id], "reason": "a test"})
    assert core.states() == {"dead": 1, "discarded": 1, "done": 1}
    assert page.get("/pipeline/numbers").json()["minute"]["died"] == 3
    for each, column in {"backlog_samples": "at", "past_attempts": "finished_at", "outcomes": "finished_at",
                         "dead_letter_actions": "at"}.items():  # fmt: skip
        core.execute(f"UPDATE {each} SET {column} = {column} - interval '5 s'")
    with core.engine.begin() as connection:
        backlog.sample(connection, backlog.measure(core.engine, core.redis, 300))
    assert core.value("SELECT died FROM backlog_samples ORDER BY at DESC LIMIT 1") == 3


def test_the_charts_cover_the_last_hour_and_day_and_outlive_a_restart(core: Core, page: Page) -> None:
    sample_data.samples(core.engine, datetime.now(UTC))
    hour = page.get("/pipeline/samples", span="hour").json()
    day = page.get("/pipeline/samples", span="day").json()
    assert HOUR_POINTS <= len(hour["points"]) <= HOUR_POINTS + 1
    assert DAY_POINTS <= len(day["points"]) <= DAY_POINTS + 1
    assert max(point["arrived"] for point in hour["points"]) > 100
    assert page.get("/pipeline/samples", span="year").status_code == 400


def test_the_watch_keeps_the_samples(core: Core, page: Page, settings: Settings) -> None:
    alerts.watch(core.engine, core.redis, settings)
    assert len(page.get("/pipeline/samples").json()["points"]) == 1


# A conversation


def test_a_conversation_shows_its_events_in_order_and_names_nobody(core: Core, page: Page) -> None:
    core.broken.add("second")
    core.ingest(text_body("first", "second", "third"))
    core.ingest(text_body("of somebody else", sender=2))
    core.run()
    answer = page.get(f"/conversation/{lane_of(core, 'first')}/events")
    found = answer.json()
    assert [event["state"] for event in found["events"]] == ["done", "pending", "pending"]
    assert [event["attempts"] for event in found["events"]] == [1, 1, 0]
    assert found["pause"]["paused_at"] is None
    for secret in (f.phone(1), f.user_id(1), "second"):
        assert secret not in answer.text


def test_a_long_conversation_is_read_backwards_from_its_end(core: Core, page: Page) -> None:
    lanes = sample_data.conversations(core.engine, 1)
    sample_data.events(core.engine, lanes, 250)
    seen: list[int] = []
    before = ""
    more = True
    while more:
        found = page.get(f"/conversation/{lanes[0]}/events{before}").json()
        seen = [event["id"] for event in found["events"]] + seen
        before, more = f"?before={seen[0]}", found["more"]
    expected = core.rows("SELECT id FROM event_jobs ORDER BY occurred_at, delivery_id, position")
    assert seen == [row.id for row in expected]


def test_a_conversation_is_paused_and_resumed_and_it_is_known_by_whom(core: Core, page: Page) -> None:
    core.ingest(text_body("waits"))
    lane = lane_of(core, "waits")
    answer = page.post(f"/conversation/{lane}/pause").json()
    assert (answer["changed"], answer["pause"]["paused_by"]) == (True, "ada")
    core.run()
    assert core.seen == []
    again = page.as_user(GRACE).post(f"/conversation/{lane}/pause").json()
    assert (again["changed"], again["pause"]["paused_by"]) == (False, "ada")
    assert page.get("/pipeline/numbers").json()["paused"] == 1
    assert page.as_user(GRACE).post(f"/conversation/{lane}/resume").json()["changed"]
    core.run()
    assert core.seen == ["waits"]


def test_a_pause_has_an_end_a_reason_and_what_becomes_of_what_comes_meanwhile(core: Core, page: Page) -> None:
    core.ingest(text_body("one"))
    lane = lane_of(core, "one")
    for wrong in (-1, "8", 10_000_000):
        assert page.post(f"/conversation/{lane}/pause", {"hours": wrong}).status_code == 400
    wanted = {"hours": 8, "reason": "call +15550001234", "skips": True}
    pause = page.post(f"/conversation/{lane}/pause", wanted).json()["pause"]
    hours = datetime.fromisoformat(pause["paused_until"]) - datetime.fromisoformat(pause["paused_at"])
    assert (round(hours.total_seconds()), pause["skips"]) == (8 * 3600, True)
    assert "15550001234" not in pause["paused_why"]


def test_what_is_no_conversation_cannot_be_paused(core: Core, page: Page) -> None:
    answer = page.post("/conversation/4711/pause")
    assert answer.status_code == 404
    assert answer.json()["error"]


def test_a_conversation_that_became_a_part_of_another_leads_there(core: Core, page: Page) -> None:
    by_phone = f.text_message("by phone", number="p", from_user_id=None)
    by_id = f.text_message("by id", number="i", **{"from": None})
    core.ingest(f.body(f.messages(by_phone)), f.body(f.messages(by_id)))
    loser = core.value("SELECT lane FROM event_jobs WHERE key = :key", key=f"message:{f.wamid('p')}")
    core.ingest(text_body("both"))
    winner = lane_of(core, "both")
    assert winner != loser
    answer = page.get(f"/conversation/{loser}")
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/conversation/{winner}")


def test_an_alert_says_its_number_since_when_and_what_to_do(
    core: Core, page: Page, settings: Settings
) -> None:
    core.broken.add("fails")
    core.registry.handlers.clear()
    core.on("message", function=core.failing("fails"), max_attempts=1)
    core.ingest(text_body("fails"))
    core.run()
    alerts.watch(core.engine, core.redis, settings)
    (alert,) = page.get("/pipeline/numbers").json()["alerts"]
    assert (alert["name"], alert["value"], alert["threshold"]) == ("dead_letters", 1, 1)
    assert alert["since"]
    assert "1 dead letters wait" in alert["text"]
    assert alert["remedy"]["page"] == "dead_letters"
