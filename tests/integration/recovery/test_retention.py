"""What was finished long ago is deleted with all that hangs on it, and nothing that is needed still."""

import pytest

from app import dead_letters
from app.recovery import retention
from app.recovery.redis_time import now_ms
from app.recovery.retention import Purged, cutoff, purge
from app.stores.models import JobState
from app.stores.redis_keys import JOURNAL, JOURNAL_INDEX
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body
from tests.helpers.rows import add_events, add_stored_delivery, ago
from tests.integration.recovery.retention import DAY, DAYS, age, left, purged, status_of

pytestmark = pytest.mark.core(messages="failing", max_attempts=1)


def die(core: Core, *texts: str) -> list[int]:
    core.broken.update(texts)
    core.ingest(text_body(*texts))
    core.run()
    return [core.event(words).id for words in texts]


# What goes


def test_an_event_that_was_done_long_ago_goes_with_its_attempts_and_its_delivery(core: Core) -> None:
    core.ingest(text_body("a"), text_body("b"))
    core.run()
    age(core)
    assert purged(core) == Purged(events=2, attempts=2, deliveries=2)
    assert left(core) == {"conversations": 1}


def test_an_event_that_had_no_handler_goes_too(core: Core) -> None:
    core.registry.handlers.clear()
    core.ingest(text_body("a"))
    age(core)
    assert purged(core).events == 1


def test_a_discarded_event_goes_with_what_people_did_to_it(core: Core) -> None:
    (id_,) = die(core, "a")
    dead_letters.retry(core.engine, core.redis, core.registry, [id_], "ada")
    core.run()
    dead_letters.discard(core.engine, core.redis, [id_], "ada", "a test")
    age(core)
    assert purged(core) == Purged(events=1, attempts=2, actions=2, deliveries=1)
    assert left(core) == {"conversations": 1}


def test_a_delivery_of_duplicates_only_goes_by_its_own_age(core: Core) -> None:
    core.ingest(text_body("a"))
    core.ingest(text_body("a"))
    core.run()
    age(core)
    assert purged(core) == Purged(events=1, attempts=1, deliveries=2)


def test_a_body_that_was_unreadable_and_is_discarded_goes(core: Core) -> None:
    core.ingest(b"unreadable")
    dead_letters.discard(core.engine, core.redis, [core.value("SELECT id FROM event_jobs")], "ada", "junk")
    age(core)
    purged(core)
    assert left(core) == {}


def test_the_status_of_a_message_goes_with_the_last_of_its_events(core: Core) -> None:
    core.registry.handlers.clear()
    status_of(core, "sent")
    age(core)
    status_of(core, "delivered")
    assert purged(core) == Purged(events=1, deliveries=1)
    assert core.value("SELECT status FROM message_statuses") == "delivered"
    age(core)
    assert purged(core) == Purged(events=1, deliveries=1)
    assert left(core) == {"message_statuses": 1, "conversations": 1}
    age(core)
    assert purged(core) == Purged(statuses=1)


def test_a_repeat_of_an_earlier_status_after_the_purge_turns_nothing_back(core: Core) -> None:
    core.registry.handlers.clear()
    status_of(core, "read")
    age(core)
    purged(core)
    status_of(core, "delivered")
    assert core.value("SELECT status FROM message_statuses") == "read"
    age(core, days=9)
    assert purged(core) == Purged()  # it has an event again
    assert core.value("SELECT status FROM message_statuses") == "read"


def test_the_statuses_of_a_groups_participants_go_together(core: Core) -> None:
    core.registry.handlers.clear()
    core.ingest(f.body(f.statuses(*(f.group_status("read", participant) for participant in (1, 2)))))
    age(core)
    purged(core)
    age(core)
    assert purged(core).statuses == 2
    assert left(core).get("message_statuses") is None


def test_the_status_of_a_message_whose_id_is_escaped_in_the_key_goes(core: Core) -> None:
    core.registry.handlers.clear()
    odd = f.status("sent", number=9)
    odd["id"] = "a:b~c%d%3A"
    core.ingest(f.body(f.statuses(odd)))
    age(core)
    purged(core)
    age(core)
    assert purged(core).statuses == 1


def test_the_oldest_go_first_in_batches_and_a_caller_may_stop_after_any(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    added = [
        add_events(core.engine, state=JobState.DONE, finished_at=ago((31 + nth) * DAY))[0] for nth in range(5)
    ]
    batches = purge(core.engine, cutoff(core.engine, core.redis, DAYS))
    assert next(batches).events == 2
    batches.close()
    assert core.rows("SELECT id FROM event_jobs ORDER BY id") == [(id_,) for id_ in added[:3]]
    assert purged(core).events == 3


def test_deliveries_go_where_their_events_went_in_an_earlier_purge_that_died(core: Core) -> None:
    core.ingest(text_body("a"), text_body("b"))
    core.run()
    age(core)
    core.execute("DELETE FROM events")
    core.execute("DELETE FROM outcomes")
    assert purged(core) == Purged(deliveries=2)


def test_more_deliveries_than_events_go_all_the_same(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    for _ in range(5):
        core.ingest(text_body("a"))
    core.run()
    age(core)
    assert purged(core) == Purged(events=1, attempts=1, deliveries=5)


# What stays


def test_what_is_younger_stays(core: Core) -> None:
    core.ingest(text_body("a"))
    core.run()
    age(core, days=29.9)
    assert purged(core) == Purged()


def test_what_is_pending_or_dead_stays_however_old_with_its_delivery_and_status(core: Core) -> None:
    die(core, "dead")
    core.on("status")
    status_of(core, "sent")
    core.ingest(b"unreadable")
    age(core, days=1000)
    before = left(core)
    assert purged(core) == Purged()
    assert left(core) == before
    assert core.states() == {"dead": 2, "pending": 1}


def test_a_delivery_stays_until_its_last_event_is_gone(core: Core) -> None:
    core.broken.add("dead")
    core.ingest(text_body("done", "dead"))
    core.run()
    age(core)
    assert purged(core) == Purged(events=1, attempts=1)
    assert left(core)["deliveries"] == 1


def test_what_was_retried_and_done_since_counts_from_then(core: Core) -> None:
    (id_,) = die(core, "a")
    age(core)
    core.broken.clear()
    dead_letters.retry(core.engine, core.redis, core.registry, [id_], "ada")
    core.run()
    assert core.states() == {"done": 1}
    assert purged(core) == Purged()


def test_a_delivery_in_the_fallback_store_stays(core: Core) -> None:
    add_stored_delivery(core.engine, seconds_old=100 * DAY)
    assert purged(core) == Purged()
    assert core.value("SELECT count(*) FROM deliveries") == 1


def test_the_order_of_a_conversation_outlives_its_events(core: Core) -> None:
    core.ingest(text_body("a", at=f.NOW))
    core.run()
    age(core)
    purged(core)
    core.ingest(text_body("earlier", at=f.NOW - 60), text_body("later", at=f.NOW + 60))
    core.run()
    assert core.seen == ["a", "earlier", "later"]
    assert (core.event("earlier").late, core.event("later").late) == (True, False)
    assert core.value("SELECT count(*) FROM conversations") == 1


# A repeat is known for as long as it may come


def test_a_repeat_within_the_window_is_a_duplicate(core: Core) -> None:
    core.ingest(text_body("a"))
    core.run()
    age(core, days=7.5)
    assert purged(core, days=8) == Purged()
    core.ingest(text_body("a"))
    core.run()
    assert core.seen == ["a"]


@pytest.mark.parametrize("waits", ["journal", "fallback store", "taken"])
def test_an_age_counts_from_the_oldest_delivery_that_waits(core: Core, waits: str) -> None:
    """A repeat that was accepted in time, while Postgres was away or ingest stood still, is known when it comes."""
    days = 20
    seconds_old = days * DAY
    core.ingest(text_body("a"))
    core.run()
    age(core, days=days + 7)
    if waits == "journal":
        core.accept(text_body("a"), at_ms=now_ms(core.redis) - seconds_old * 1000)
    elif waits == "fallback store":
        core.accept_in_fallback_store(text_body("a"), seconds_old)
    else:
        core.redis.zadd(retention.UNACKED_INDEX, {"a message": now_ms(core.redis) / 1000 - seconds_old})
    assert purged(core, days=8) == Purged()
    core.redis.flushall()
    core.execute("DELETE FROM deliveries WHERE state = 'stored'")
    assert purged(core, days=8).events == 1


def test_a_repeat_that_was_stored_late_finds_its_event(core: Core) -> None:
    core.ingest(text_body("a"))
    core.run()
    age(core, days=27)
    core.accept(text_body("a"), at_ms=now_ms(core.redis) - 20 * DAY * 1000)
    purged(core, days=8)
    core.ingest_waiting()
    core.run()
    assert core.seen == ["a"]
    assert core.redis.exists(JOURNAL, JOURNAL_INDEX) == 0
