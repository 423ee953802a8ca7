"""An event's place in its conversation once it has begun."""

from app.stores.delivery_id import ids
from tests.helpers.core import Core, text_body
from tests.helpers.factories import NOW


def test_a_body_that_arrives_again_under_an_earlier_id_lets_nothing_overtake_a_failing_event(
    core: Core,
) -> None:
    core.on("message", function=core.failing("a"))
    earlier, later = ids.take(2)
    core.ingest_as((later, text_body("a", "b")))
    core.run()
    assert core.event("a").attempts == 1
    core.ingest_as((earlier, text_body("a", "b")))
    core.run()
    assert core.seen == []
    core.broken.clear()
    core.make_due()
    core.advance(core.event("a").lane)
    assert core.seen == ["a", "b"]


def test_a_body_that_arrives_again_under_an_earlier_id_makes_nothing_late(core: Core) -> None:
    late: list[bool] = []
    core.on("message", function=lambda event, _ctx: late.append(event.late))
    earlier, later = ids.take(2)
    core.ingest_as((later, text_body("a", "b")))
    core.step(core.event("a").lane)
    core.ingest_as((earlier, text_body("a", "b")))
    core.step(core.event("b").lane)
    assert late == [False, False]


def test_a_late_event_whose_repeat_was_stored_first_still_has_the_place_of_the_first_acceptance(
    core: Core,
) -> None:
    core.on("message")
    first, between, again, last = ids.take(4)
    core.ingest_as((last, text_body("later", at=NOW + 10)))
    core.run()
    core.ingest_as((again, text_body("a")))
    core.ingest_as((between, text_body("b")))
    core.ingest_as((first, text_body("a")))
    core.run()
    assert core.seen == ["later", "a", "b"]
