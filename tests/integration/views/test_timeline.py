"""A message's timeline, by any of its names."""

import pytest

from app import dead_letters
from app.views import timeline
from app.views.timeline import Timeline
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body

pytestmark = pytest.mark.core(messages="failing", max_attempts=2)


def trace(core: Core, identifier: object) -> list[Timeline]:
    with core.engine.connect() as connection:
        return timeline.find_timelines(connection, str(identifier))


def whats(history: Timeline) -> list[str]:
    return [moment.what for moment in history.moments]


def in_journal(core: Core, identifier: str) -> list[str]:
    return [id_ for id_, _ in timeline.in_journal(core.redis, identifier)]


def test_a_message_is_followed_from_its_reception_to_its_outcome(core: Core) -> None:
    core.ingest(text_body("a"))
    core.run()
    (history,) = trace(core, f.wamid("a"))
    assert whats(history) == ["received", "stored", "attempt", "done"]
    assert (history.kind, history.type, history.state, history.late) == ("message", "text", "done", False)
    assert history.moments[0].detail["door"] == "journal"
    assert history.moments[2].detail["worker"] == "worker"


def test_failures_and_what_people_decided_are_part_of_the_story(core: Core) -> None:
    core.broken.add("a")
    (lane,) = core.ingest(text_body("a")).lanes
    for _ in range(2):
        core.make_due()
        core.advance(lane)
    dead_letters.retry(core.engine, core.redis, core.registry, [core.event("a").id], "ada")
    core.broken.clear()
    core.advance(lane)
    (history,) = trace(core, f.wamid("a"))
    assert whats(history) == ["received", "stored", "attempt", "attempt", "retry", "attempt", "done"]
    errors = [moment.detail["error"] for moment in history.moments if moment.what == "attempt"]
    assert errors == ["ValueError: cannot handle a"] * 2 + [None]
    assert history.moments[4].detail["who"] == "ada"


def test_an_attempt_whose_worker_died_has_no_end(core: Core) -> None:
    (lane,) = core.ingest(text_body("a")).lanes
    core.kill_worker_in(lane)
    (history,) = trace(core, f.wamid("a"))
    assert (whats(history)[-1], history.moments[-1].detail["seconds"]) == ("attempt", None)


def test_an_event_without_a_handler_ends_unhandled(core: Core) -> None:
    core.ingest(f.body(f.statuses(f.status("read", number=9))))
    (history,) = trace(core, f.wamid(9))
    assert (whats(history)[-1], history.state) == ("unhandled", "unhandled")


def test_the_statuses_of_a_message_that_we_sent_are_found_by_its_id(core: Core) -> None:
    core.ingest(f.body(f.statuses(f.status("read", number=9), f.status("sent", number=9))))
    assert sorted(history.type for history in trace(core, f.wamid(9))) == ["read", "sent"]
    with core.engine.connect() as connection:
        (row,) = timeline.statuses_of(connection, f.wamid(9))
    assert row["status"] == "read"


def test_a_message_is_not_mixed_up_with_one_whose_id_begins_the_same(core: Core) -> None:
    core.ingest(
        f.body(
            f.messages(
                f.text_message(id="wamid.A"), f.text_message(id="wamid.AB"), f.text_message(id="wamid.A;B")
            )
        )
    )
    assert [history.key for history in trace(core, "wamid.A")] == ["message:wamid.A"]


def test_a_delivery_tells_the_stories_of_its_events_in_their_order(core: Core) -> None:
    (id_,) = core.accept(text_body("a", "b"))
    core.ingest_waiting()
    core.ingest(text_body("c"))
    assert [history.key for history in trace(core, id_)] == [
        f"message:{f.wamid('a')}",
        f"message:{f.wamid('b')}",
    ]
    assert len(trace(core, id_.upper())) == 2


def test_an_event_is_found_by_its_number(core: Core) -> None:
    core.ingest(text_body("a", "b"))
    (history,) = trace(core, f" {core.event('b').id}\n")
    assert history.key == f"message:{f.wamid('b')}"


@pytest.mark.parametrize(
    "unknown",
    ["", "wamid.unknown", "0", "99", 10**30, "0197b2ce-1c1b-7e11-8f0a-5d2c5b1f6a01", "%", "²", "\ud800"],
)
def test_what_is_unknown_has_no_story(core: Core, unknown: object) -> None:
    core.ingest(text_body("a"))
    assert trace(core, unknown) == []


@pytest.mark.parametrize("words", ["a", "???"])  # the id of the second holds a slash, which Meta escapes
def test_a_message_that_waits_in_the_journal_is_found_there(core: Core, words: str) -> None:
    id_, _ = core.accept(text_body(words), text_body("b"))
    assert in_journal(core, f.wamid(words)) == [id_]
    assert in_journal(core, id_) == [id_]
    core.ingest_waiting()
    assert in_journal(core, f.wamid(words)) == []
