"""A worker's claims while it is in a handler: renewed, given back when the handler is slow, released at the end."""

import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from app.lanes import claimed as rules
from app.lanes.claimed import ClaimedLane
from app.lanes.claims import Claim, ClaimResult, Claims
from app.lanes.lease_renewer import LeaseRenewer
from app.stores.delivery_id import ids
from tests.helpers.core import SETTLE_SECONDS, WAIT_SECONDS, Core, advanced, text_body
from tests.helpers.waiting import until

SHORT_LEASE_SECONDS = 0.06
RENEWED_LEASE_SECONDS = 3.0  # a busy machine may hold the renewing thread up for a second
LONG_LEASE_SECONDS = 60
LONG_SECONDS = 60


class Calls:
    """Counts the calls of a function and lets a test wait for them."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._happened = threading.Semaphore(0)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        answer = self._function(*args, **kwargs)
        self._happened.release()
        return answer

    def wait_for(self, number: int) -> None:
        for _ in range(number):
            assert self._happened.acquire(timeout=WAIT_SECONDS)


class Kept:
    """A renewer, and the lanes that it gave back."""

    def __init__(self, core: Core, lease_seconds: float) -> None:
        self.claims = Claims(core.redis, lease_seconds, SETTLE_SECONDS)
        self.given_back: list[int] = []
        self.wake = Calls(self.given_back.extend)
        self.renewer = LeaseRenewer(self.claims, self.wake)

    def hold(self, *lanes: int) -> None:
        held = [ClaimedLane(lane, Claim([f"claim:{lane}"], ids.take(1)[0])) for lane in lanes]
        assert self.claims.take([each.claim for each in held]).results == [ClaimResult.CLAIMED] * len(lanes)
        self.renewer.add(held)

    def next(self) -> int | None:
        held = self.renewer.start_next()
        return held.lane if held else None


def claimed(core: Core) -> set[str]:
    return {key.decode() for key in core.redis.keys("claim:*")}


def test_what_is_held_is_run_in_order_and_released_together(core: Core) -> None:
    kept = Kept(core, LONG_LEASE_SECONDS)
    kept.hold(3, 1, 2)
    assert [kept.next() for _ in range(4)] == [3, 1, 2, None]
    assert len(claimed(core)) == 3
    kept.renewer.release()
    assert claimed(core) == set()


def test_leases_are_renewed_while_a_handler_runs(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "PATIENCE_SECONDS", LONG_SECONDS)
    monkeypatch.setattr(rules, "ROUND_SECONDS", LONG_SECONDS)
    kept = Kept(core, RENEWED_LEASE_SECONDS)
    kept.hold(1, 2)
    kept.next()
    kept.renewer.set_deadline(LONG_SECONDS)
    renewed = Calls(kept.claims.renew)
    kept.claims.renew = renewed  # type: ignore[method-assign]
    with kept.renewer:
        renewed.wait_for(4)  # more than a lease long
        assert claimed(core) == {"claim:1", "claim:2"}
    assert claimed(core) == set()


def test_a_lease_is_renewed_no_longer_than_the_handler_may_take(core: Core) -> None:
    kept = Kept(core, SHORT_LEASE_SECONDS)
    kept.hold(1)
    kept.next()
    kept.renewer.set_deadline(0)
    with kept.renewer:
        until(lambda: not claimed(core))


def test_the_lanes_behind_a_slow_handler_are_given_back(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "PATIENCE_SECONDS", 0.01)
    kept = Kept(core, LONG_LEASE_SECONDS)
    kept.hold(1, 2, 3, 4)
    with kept.renewer:
        kept.next()
        kept.wake.wait_for(1)
        assert claimed(core) == {"claim:1"}
        assert sorted(kept.given_back) == [2, 3, 4]
        assert kept.next() is None


def test_the_lanes_behind_many_events_are_given_back_too(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "PATIENCE_SECONDS", LONG_SECONDS)
    monkeypatch.setattr(rules, "ROUND_SECONDS", 0.01)
    kept = Kept(core, SHORT_LEASE_SECONDS)
    kept.hold(1, 2, 3)
    with kept.renewer:
        kept.next()
        kept.wake.wait_for(1)
        assert sorted(kept.given_back) == [2, 3]


def test_a_lane_behind_a_slow_handler_is_run_by_somebody_else(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "PATIENCE_SECONDS", 0.01)
    other: list[Sequence[int]] = []

    def wait_for_the_other(event: Any, ctx: Any) -> None:
        core.note(event, ctx)
        if event.text == "slow":
            until(core.wakes_in_queue, WAIT_SECONDS)
            other.append(core.wakes_in_queue())
            core.run()

    core.on("message", None, wait_for_the_other)
    slow, quick = core.ingest(text_body("slow")).lanes, core.ingest(text_body("quick", sender=2)).lanes
    core.redis.delete("conversations", "lanes:woken")
    steps = advanced(core.lanes(), [*slow, *quick], LONG_SECONDS)
    assert core.seen == ["slow", "quick"]
    assert other == [list(quick)]
    assert {step.lane for step in steps} == {*slow, *quick}
    assert claimed(core) == set()
