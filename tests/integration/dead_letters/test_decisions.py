"""Dead letters: what people see, what they decide, and a queue that is equal to the table."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisAwayError

from app import dead_letters
from app.broker.envelope import retry_dead_letter_message
from app.dead_letters import ActionResult, queue
from app.stores.models import JobState
from app.stores.redis_keys import WAKES
from app.views import Filter, content, find
from config.celery import DEAD_LETTERS
from tests.helpers import factories as f
from tests.helpers.core import WAIT_SECONDS, Core, text_body
from tests.helpers.rows import add_events

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
UNKNOWN = 10**9


def die(core: Core, *texts: str, **more: Any) -> list[int]:
    """Dead letters of messages with these texts, oldest first."""
    if ("message", None, "main") not in core.registry.handlers:
        core.on("message", None, core.failing(), max_attempts=1)
    core.broken.update(texts)
    core.ingest(text_body(*texts, **more))
    core.run()
    return [core.event(words).id for words in texts]


def retry(core: Core, *ids: int, who: str = "ada") -> ActionResult:
    return dead_letters.retry(core.engine, core.redis, core.registry, ids, who)


def actions(core: Core) -> list[tuple[Any, ...]]:
    return [
        tuple(row)
        for row in core.rows("SELECT event_id, action, who, reason FROM dead_letter_actions ORDER BY id")
    ]


# Found


def test_a_dead_letter_tells_what_it_was_and_why_it_died(core: Core) -> None:
    die(core, "a")
    with core.engine.connect() as connection:
        (letter,) = find(connection, Filter())
    assert (letter.kind, letter.type, letter.handler) == ("message", "text", "tests.message_any")
    assert (letter.error, letter.attempts) == ("ValueError: cannot handle a", 1)
    assert letter.conversation == f"{f.PHONE_NUMBER_ID}/{f.user_id(1)}"
    assert content(letter)["item"]["text"] == {"body": "a"}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(kind="message"), "abc"),
        (Filter(kind="status"), ""),
        (Filter(type="text"), "abc"),
        (Filter(handler="tests.message_any"), "abc"),
        (Filter(error="CANNOT handle B"), "b"),
        (Filter(conversation=f"{f.PHONE_NUMBER_ID}/{f.user_id(2)}"), "c"),
        (Filter(before=LONG_AGO), ""),
        (Filter(after=LONG_AGO), "abc"),
        (Filter(error="%"), ""),
    ],
)
def test_dead_letters_are_found_by_what_they_are(core: Core, wanted: Filter, found: str) -> None:
    ids = dict(zip(die(core, "a", "b") + die(core, "c", sender=2), "abc", strict=True))
    with core.engine.connect() as connection:
        assert "".join(ids[letter.id] for letter in find(connection, wanted)) == found


def test_dead_letters_are_found_page_by_page(core: Core) -> None:
    first, second, third = die(core, "a", "b", "c")
    with core.engine.connect() as connection:
        assert [letter.id for letter in find(connection, Filter(), 2)] == [first, second]
        assert [letter.id for letter in find(connection, Filter(), 2, second)] == [third]
        assert find(connection, Filter(ids=[])) == []


# Retry


def test_retried_events_run_in_their_order_before_newer_ones(core: Core) -> None:
    ids = die(core, "first", "second", at=f.NOW)
    core.ingest(text_body("third", at=f.NOW + 1))
    core.broken.clear()
    assert retry(core, *reversed(ids)).changed == ids
    core.run()
    assert core.seen == ["first", "second", "third"]


def test_a_retried_event_gets_all_its_attempts_again(core: Core) -> None:
    core.on("message", None, core.failing("a"), max_attempts=2)
    (lane,) = core.ingest(text_body("a")).lanes
    for _ in range(2):
        core.make_due()
        core.advance(lane)
    retry(core, core.event("a").id)
    core.advance(lane)
    assert (core.event("a").state, core.event("a").attempts) == ("pending", 3)
    core.make_due()
    core.advance(lane)
    assert (core.event("a").state, core.event("a").attempts) == ("dead", 4)


def test_a_retry_is_noted_with_who_asked_for_it(core: Core) -> None:
    (id_,) = die(core, "a")
    retry(core, id_, who="grace")
    assert actions(core) == [(id_, "retry", "grace", None)]


def test_a_retry_takes_the_letter_out_of_the_queue_and_wakes_its_lane(core: Core) -> None:
    first, second = die(core, "a", "b")
    retry(core, first)
    assert core.dead_queue() == [second]
    assert core.wakes_in_queue() == [core.event("a").lane]


def test_what_is_not_dead_is_left_alone_and_told_why(core: Core) -> None:
    core.on("message", "image")
    core.ingest(f.body(f.messages(f.message("image", number="image"))))
    core.run()
    done = core.value("SELECT id FROM event_jobs")
    (dead,) = die(core, "a")
    decided = retry(core, done, dead, UNKNOWN, 10**30)
    assert decided.changed == [dead]
    assert decided.refused == {
        done: "it is done, not dead",
        UNKNOWN: "there is no job with this number",
        10**30: "there is no job with this number",
    }


def test_a_letter_that_two_people_retry_at_the_same_moment_is_retried_once(core: Core) -> None:
    (id_,) = die(core, "a")
    together = threading.Barrier(2)

    def ask(who: str) -> ActionResult:
        together.wait(WAIT_SECONDS)
        return retry(core, id_, who=who)

    with ThreadPoolExecutor() as threads:
        decisions = list(threads.map(ask, ["ada", "grace"]))
    assert sorted(decided.changed for decided in decisions) == [[], [id_]]
    assert len(actions(core)) == 1
    core.broken.clear()
    core.run()
    assert core.seen == ["a"]


def test_a_retry_counts_even_while_redis_is_away(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> None:
        raise RedisAwayError

    (id_,) = die(core, "a")
    with monkeypatch.context() as patch:
        patch.setattr(queue, "remove", away)
        assert retry(core, id_).changed == [id_]
    assert core.event("a").state == "pending"
    dead_letters.reconcile(core.engine, core.redis)
    assert core.dead_queue() == []


# Discard


def test_a_discarded_letter_keeps_its_row_with_who_and_why(core: Core) -> None:
    (id_,) = die(core, "a")
    decided = dead_letters.discard(core.engine, core.redis, [id_, UNKNOWN], "ada", "answered by phone")
    assert (decided.changed, list(decided.refused)) == ([id_], [UNKNOWN])
    assert core.event("a").state == "discarded"
    assert actions(core) == [(id_, "discard", "ada", "answered by phone")]
    assert core.dead_queue() == []


def test_a_discarded_letter_cannot_be_retried(core: Core) -> None:
    (id_,) = die(core, "a")
    dead_letters.discard(core.engine, core.redis, [id_], "ada", "no")
    assert retry(core, id_).refused == {id_: "it is discarded, not dead"}


# The queue and the table


def settle(core: Core) -> None:
    """Let every death be old enough to be missed in the queue."""
    core.execute("UPDATE outcomes SET finished_at = finished_at - interval '1 minute' WHERE state = 'dead'")


def dead_ids(core: Core) -> list[int]:
    return [row.id for row in core.rows("SELECT id FROM event_jobs WHERE state = 'dead' ORDER BY id")]


@pytest.fixture
def dying(core: Core) -> Core:
    core.on("message", None, core.failing(), max_attempts=1)
    return core


@given(steps=st.lists(st.sampled_from(["die", "retry", "discard", "flushall", "double", "stray", "lose"])))
@examples(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_queue_is_equal_to_the_table_after_any_mix(dying: Core, steps: list[str]) -> None:
    core = dying
    for step in steps:
        newest = dead_ids(core)[-1:]
        match step:
            case "die":
                die(core, f"{core.value('SELECT count(*) FROM event_jobs')}")
            case "retry":
                retry(core, *newest)
                core.run()
            case "discard":
                dead_letters.discard(core.engine, core.redis, newest, "ada", "no")
            case "flushall":
                core.redis.flushall()
            case "double":
                for id_ in newest:
                    core.redis.lpush(DEAD_LETTERS, retry_dead_letter_message(id_))
            case "stray":
                core.redis.lpush(DEAD_LETTERS, retry_dead_letter_message(UNKNOWN))
            case "lose":
                core.redis.rpop(DEAD_LETTERS)
    settle(core)
    dead_letters.reconcile(core.engine, core.redis)
    assert core.dead_queue() == dead_ids(core)
    assert dead_letters.reconcile(core.engine, core.redis) == (0, 0)


def test_doubles_are_removed(core: Core) -> None:
    (id_,) = die(core, "a")
    core.redis.lpush(DEAD_LETTERS, *[retry_dead_letter_message(id_)] * 3)
    assert dead_letters.reconcile(core.engine, core.redis) == (0, 3)
    assert core.dead_queue() == [id_]


def test_a_letter_that_died_just_now_is_left_to_who_announces_it(core: Core) -> None:
    (id_,) = die(core, "a")
    core.redis.delete(DEAD_LETTERS)
    assert dead_letters.reconcile(core.engine, core.redis) == (0, 0)
    settle(core)
    assert dead_letters.reconcile(core.engine, core.redis) == (1, 0)
    assert core.dead_queue() == [id_]


def test_a_long_queue_of_the_right_length_is_not_compared_letter_by_letter(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "MAX_LENGTH_READ", 2)
    monkeypatch.setattr(queue, "MESSAGES_A_CALL", 2)
    died = datetime.now(UTC) - timedelta(hours=1)
    ids = add_events(core.engine, 5, state=JobState.DEAD, finished_at=died, error="ValueError")
    assert dead_letters.reconcile(core.engine, core.redis) == (5, 0)
    monkeypatch.setattr(core.redis, "lrange", None)  # not to be asked
    assert dead_letters.reconcile(core.engine, core.redis) == (0, 0)
    monkeypatch.undo()
    assert core.dead_queue() == ids


def test_dead_letters_survive_the_loss_of_redis_and_can_be_retried(core: Core) -> None:
    (id_,) = die(core, "a")
    core.redis.flushall()
    core.broken.clear()
    assert retry(core, id_).changed == [id_]
    assert core.redis.zcard(WAKES) == 1
    core.run()
    assert core.seen == ["a"]
