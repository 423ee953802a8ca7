"""A state that comes back is an event; a repeat of it is none."""

import pytest

from app.stores.delivery_id import ids
from tests.helpers import factories as f
from tests.helpers.core import Core, delivery_id_at

DAY = 86_400
NOW_MS = f.NOW * 1000


@pytest.fixture(autouse=True)
def _handler(core: Core) -> None:
    core.on("other", None, lambda event, _ctx: core.seen.append(event.item["event"]))


def quality(state: str, at: int | None = None, phone: str = f.OWN_PHONE) -> f.Json:
    change = f.management("phone_number_quality_update", event=state, display_phone_number=phone)
    return f.body(change, time=at)


def template(state: str, at: int, number: int = 1) -> f.Json:
    change = f.management("message_template_status_update", event=state, message_template_id=number)
    return f.body(change, time=at)


def seen(core: Core, *bodies: f.Json) -> list[str]:
    """What ran, after each body was ingested by itself."""
    for body in bodies:
        core.ingest(body)
    core.run()
    return core.seen


@pytest.mark.parametrize(
    "states",
    [("PARTNER_REMOVED", "PARTNER_ADDED", "PARTNER_REMOVED"), ("DISABLED", "REINSTATED", "DISABLED")],
)
def test_a_state_of_an_account_that_came_back_is_an_event(core: Core, states: tuple[str, ...]) -> None:
    bodies = [f.body(f.account_update(state), time=f.NOW + nth * 3600) for nth, state in enumerate(states)]
    assert seen(core, *bodies, *bodies) == list(states)


def test_a_state_that_came_back_is_an_event_in_whatever_order_its_bodies_are_ingested(core: Core) -> None:
    first, second, third = (
        quality(state, f.NOW + nth * DAY) for nth, state in enumerate(("FLAGGED", "UNFLAGGED", "FLAGGED"))
    )
    core.ingest(second, third)
    core.ingest(first)
    core.ingest(first, second, third)
    core.run()
    assert sorted(core.seen) == ["FLAGGED", "FLAGGED", "UNFLAGGED"]


def test_a_state_that_came_back_within_one_transaction_is_an_event(core: Core) -> None:
    core.ingest(template("APPROVED", f.NOW), template("PAUSED", f.NOW + 1), template("APPROVED", f.NOW + 2))
    core.run()
    assert sorted(core.seen) == ["APPROVED", "APPROVED", "PAUSED"]


def test_a_state_of_another_subject_in_between_makes_no_repeat_an_event(core: Core) -> None:
    ours, other = template("APPROVED", f.NOW), template("PAUSED", f.NOW + 1, number=2)
    assert seen(core, ours, other, template("APPROVED", f.NOW + 2)) == ["APPROVED", "PAUSED"]


def test_the_same_content_in_another_batch_soon_after_is_one_event(core: Core) -> None:
    assert seen(core, quality("FLAGGED", f.NOW), quality("FLAGGED", f.NOW + 60)) == ["FLAGGED"]


def test_the_same_content_after_meta_would_have_given_up_is_an_event(core: Core) -> None:
    assert seen(core, quality("FLAGGED", f.NOW), quality("FLAGGED", f.NOW + 9 * DAY)) == ["FLAGGED"] * 2


def test_without_a_time_of_metas_the_time_of_acceptance_counts(core: Core) -> None:
    times = (NOW_MS, NOW_MS + DAY * 1000, NOW_MS + 10 * DAY * 1000)
    for at_ms in times:
        core.ingest_as((delivery_id_at(at_ms), quality("FLAGGED")))
    core.run()
    assert core.seen == ["FLAGGED"] * 2


def test_a_delivery_that_is_ingested_again_changes_nothing_whatever_came_since(core: Core) -> None:
    core.ingest(quality("FLAGGED", f.NOW))
    (again,) = ids.take(1)
    core.ingest_as((again, quality("FLAGGED", f.NOW + 60)))
    core.ingest(quality("UNFLAGGED", f.NOW + 30))
    core.ingest_as((again, quality("FLAGGED", f.NOW + 60)))
    core.run()
    assert core.seen == ["FLAGGED", "UNFLAGGED"]


def test_an_event_that_was_accepted_before_states_were_kept_is_known(core: Core) -> None:
    core.ingest(quality("FLAGGED", f.NOW))
    core.execute("DELETE FROM subject_states")
    accepted = int(core.value("SELECT extract(epoch FROM accepted_at) FROM event_jobs"))
    assert seen(core, quality("FLAGGED", accepted + 60)) == ["FLAGGED"]


def test_an_item_with_a_time_of_its_own_is_no_state(core: Core) -> None:
    core.ingest(f.body(f.user_preferences(f.preference()), time=f.NOW))
    core.ingest(f.body(f.user_preferences(f.preference()), time=f.NOW + 9 * DAY))
    assert core.value("SELECT count(*) FROM event_jobs") == 1
    assert core.value("SELECT count(*) FROM subject_states") == 0
