"""What belongs to no conversation runs in the order of its subject: a template, a number, an account."""

import pytest

from app.handlers import Context, Event, Permanent
from tests.helpers import factories as f
from tests.helpers.core import Core

APPROVED, PAUSED = "APPROVED", "PAUSED"


def template(state: str, at: int, number: int = 1) -> f.Json:
    change = f.management("message_template_status_update", event=state, message_template_id=number)
    return f.body(change, time=at)


def settings_change(at: int) -> f.Json:
    return f.body(f.management("account_settings_update", timestamp=str(at)), time=f.NOW)


@pytest.fixture
def states(core: Core) -> list[str]:
    core.on("other", None, lambda event, _ctx: core.seen.append(event.item["event"]))
    return core.seen


def test_two_states_of_a_template_run_in_the_order_in_which_meta_said_them(
    core: Core, states: list[str]
) -> None:
    core.ingest(template(PAUSED, f.NOW + 1))
    core.ingest(template(APPROVED, f.NOW))
    core.run()
    assert states == [APPROVED, PAUSED]


def test_a_state_that_comes_after_a_later_one_was_done_is_late(core: Core) -> None:
    late: dict[str, bool] = {}
    core.on("other", None, lambda event, _ctx: late.update({event.item["event"]: event.late}))
    for body in (template(PAUSED, f.NOW + 1), template(APPROVED, f.NOW)):
        core.ingest(body)
        core.run()
    assert late == {PAUSED: False, APPROVED: True}


def test_a_template_that_fails_holds_its_own_states_and_no_other_template(core: Core) -> None:
    done: list[tuple[int, str]] = []

    def handle(event: Event, ctx: Context) -> None:
        if event.item["message_template_id"] == 1 and event.item["event"] == APPROVED and ctx.attempt == 1:
            raise RuntimeError
        done.append((event.item["message_template_id"], event.item["event"]))

    core.on("other", None, handle)
    core.ingest(template(APPROVED, f.NOW), template(PAUSED, f.NOW + 1), template(PAUSED, f.NOW + 1, number=2))
    core.run()
    assert done == [(2, PAUSED)]


def test_each_lane_name_has_its_own_order(core: Core, states: list[str]) -> None:
    def fail(event: Event, _ctx: Context) -> None:
        raise Permanent(event.item["event"])

    core.on("other", None, fail, lane="crm")
    core.ingest(template(APPROVED, f.NOW), template(PAUSED, f.NOW + 1))
    core.run()
    assert states == [APPROVED, PAUSED]
    assert core.value("SELECT count(DISTINCT lane) FROM outcomes") == 2


def test_what_has_a_time_of_its_own_runs_in_the_order_of_those_times(core: Core) -> None:
    times: list[str] = []
    core.on("other", None, lambda event, _ctx: times.append(event.item["timestamp"]))
    core.ingest(settings_change(f.NOW + 1))
    core.ingest(settings_change(f.NOW))
    core.run()
    assert times == [str(f.NOW), str(f.NOW + 1)]


def test_a_body_that_cannot_be_read_is_in_no_lane_with_another(core: Core) -> None:
    core.ingest(b"{", b"[")
    assert core.value("SELECT count(DISTINCT lane) FROM events") == 2
