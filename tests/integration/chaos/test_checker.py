"""A checker that cannot fail proves nothing: each of these breaks a part of the product, and must be caught."""

import importlib
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from threading import Barrier, BoundedSemaphore
from typing import Any

import pytest
from sqlalchemy import text

from app.broker import wakes
from app.dev.judge import PastFault, comes_back
from app.handlers import Context, Event
from app.ingest import store as ingest
from app.intake.accept import Intake
from app.lanes import sql as lane_sql
from app.lanes.claims import Claim, ClaimResult, Claims, Taken
from app.payload.parse import ParsedBody, parse
from app.replays import Choice
from app.stores.connections import engine, redis
from tests.chaos import bodies, effects, miniature
from tests.chaos.bodies import CRM_LANE, MAIN_LANE
from tests.chaos.miniature import WORKERS, Miniature
from tests.helpers.waiting import PATIENCE_SECONDS, until
from tests.integration.chaos.verdicts import broken, judge, load, patiently

functions = importlib.import_module("app.stores.migrations.versions.0019_job_functions")

HANG_SECONDS = 2.0
SHORT_LEASE_SECONDS = 0.2
STORED_TOGETHER = 5
CRASH_AT = 14
RETURN_SECONDS = 0.5
HANG_AFTER = 20
STALLED = 0.1  # of the events, at their first attempt

pytestmark = pytest.mark.usefixtures("env")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(effects, "SLOW_SECONDS", 0.3)


def inviting(event: Event, ctx: Context) -> None:
    """Wakes its own lane, so that another worker comes while this one is in it, however quickly all was stored."""
    lane = ctx.connection.scalar(text("SELECT lane FROM event_jobs WHERE id = :id"), {"id": event.id})
    wakes.wake(redis(), [lane])
    patiently(event, ctx)


class Stalling:
    """A handler as if its process were stopped in the middle: until another worker has begun the event again.

    One worker is always left for that.
    """

    def __init__(self) -> None:
        self.stalled = 0
        self._free = BoundedSemaphore(WORKERS - 1)

    def __call__(self, event: Event, ctx: Context) -> None:
        effects.message(event, ctx)
        if ctx.attempt == 1 and effects.chance(event.key, 0) < STALLED and self._free.acquire(blocking=False):
            ctx.session.flush()
            self.stalled += 1
            until(lambda: attempts(event) > 1)
            self._free.release()


def attempts(event: Event) -> int:
    with engine().connect() as connection:
        count = text("SELECT count(*) FROM job_attempts WHERE job_id = :id")
        number: int = connection.execute(count, {"id": event.id}).scalar_one()
    return number


class Unrenewed(Claims):
    """A stopped process renews nothing."""

    def renew(self, claims: Sequence[Claim]) -> int:  # noqa: ARG002  (the signature is given)
        return 0


class AlwaysGranted(Claims):
    """Everybody gets every claim."""

    def take(self, claims: Sequence[Claim]) -> Taken:
        return replace(super().take(claims), results=[ClaimResult.CLAIMED for _ in claims])


class Hanging:
    """A handler in which all workers hang for a while, once so many events are done: nothing is completed then.

    ``since`` is the moment from which on every worker hangs.
    """

    def __init__(self, after: int, seconds: float) -> None:
        self.since: float | None = None
        self._left = count(after, -1)
        self._seconds = seconds
        self._all = Barrier(WORKERS, self._begin)

    def __call__(self, event: Event, ctx: Context) -> None:
        if self.since is None and next(self._left) <= 0:
            self._all.wait(PATIENCE_SECONDS)
            time.sleep(self._seconds)
        effects.message(event, ctx)

    def _begin(self) -> None:
        self.since = time.time()


def acks_early() -> Any:
    """Answers first and stores later; a crash takes what it had in memory."""
    store, memory, answered = Intake.accept, list[bytes](), count(1)

    async def accept(self: Intake, body: bytes) -> None:
        memory.append(body)
        number = next(answered)
        if number == CRASH_AT:
            memory.clear()
        elif number % STORED_TOGETHER == 0 or number > CRASH_AT:
            taken = memory.copy()
            memory.clear()
            for each in taken:
                await store(self, each)

    return accept


def by_wamid_alone() -> Any:
    """A parser that thinks it knows what it has seen the message id of."""
    seen: dict[str, str] = {}

    def parsed(body: bytes) -> ParsedBody:
        found = parse(body)
        return ParsedBody(
            [
                event
                for event in found.events
                if seen.setdefault(event.key.split(":")[1], event.key) == event.key
            ],
            found.unreadable,
        )

    return parsed


def test_the_product_itself_keeps_every_promise() -> None:
    facts = Miniature(handler=patiently, replays=[Choice(lane=CRM_LANE), Choice()]).run(load())
    verdicts = judge(facts)
    assert broken(verdicts) == {}, verdicts
    # There are no faults, no target, and nobody who receives replies
    unjudged = ("6", "8", "9", "10")
    assert all(verdict.checked for verdict in verdicts if verdict.promise.split()[0] not in unjudged)
    assert {job.lane_name for job in facts.jobs if job.replay_id} == {MAIN_LANE, CRM_LANE}


def test_what_is_only_late_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(miniature, "MAX_SECONDS", 0)
    with pytest.raises(TimeoutError, match="still to be done"):
        Miniature(handler=patiently).run(load())


def test_a_receiver_that_answers_before_it_stores_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Intake, "accept", acks_early())
    verdicts = judge(Miniature().run(load()))
    assert "1a" in broken(verdicts)
    (lost,) = [verdict for verdict in verdicts if verdict.promise.startswith("1a")]
    assert lost.first
    assert "lost" in lost.first.sentence
    assert any("200" in line for line in lost.history)


def test_a_receiver_that_knows_events_by_the_wamid_alone_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "parse", by_wamid_alone())
    verdicts = judge(Miniature().run(load()))
    assert {"1a", "5"} <= broken(verdicts).keys()


def test_workers_that_stall_for_longer_than_their_lease_break_nothing() -> None:
    handler = Stalling()
    mini = Miniature(handler=handler, claims=Unrenewed, lease_seconds=SHORT_LEASE_SECONDS)
    facts = mini.run(load())
    assert handler.stalled
    verdicts = judge(facts)
    assert broken(verdicts) == {}, verdicts


def replace_function(function: str, *parts: tuple[str, str]) -> None:
    """In this test's database, with other text for each of these parts."""
    for part, other in parts:
        assert part in function
        function = function.replace(part, other)
    with engine().begin() as connection:
        connection.execute(text(function.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")))


def test_the_same_workers_without_the_fence_are_caught() -> None:
    replace_function(functions.FINISH, ("RETURN false;", "RETURN true;"))  # as if every attempt might commit
    mini = Miniature(handler=Stalling(), claims=Unrenewed, lease_seconds=SHORT_LEASE_SECONDS)
    assert "3a" in broken(judge(mini.run(load())))


def test_workers_that_go_on_only_long_after_a_fault_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comes_back, "RETURN_SECONDS", RETURN_SECONDS)
    handler = Hanging(HANG_AFTER, HANG_SECONDS)
    facts = Miniature(handler=handler).run(load())
    assert handler.since is not None
    fault = PastFault("stop_postgres", handler.since - 1, handler.since)
    assert broken(judge(replace(facts, faults=[fault]))) == {"8": 1}


def test_work_that_goes_on_at_once_after_a_fault_keeps_the_promise() -> None:
    facts = Miniature().run(load())
    middle = sorted(job.finished_at or 0 for job in facts.jobs)[len(facts.jobs) // 2]
    verdicts = judge(replace(facts, faults=[PastFault("stop_postgres", middle - 1, middle)]))
    assert broken(verdicts) == {}
    assert [verdict.checked for verdict in verdicts if verdict.promise.startswith("8")] == [1]


def test_lanes_that_overlap_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    of_lane, not_begun = "WHERE lane = member.lane", "WHERE begun_at IS NULL AND lane = member.lane"
    assert of_lane in lane_sql.HEADS
    monkeypatch.setattr(lane_sql, "HEADS", lane_sql.HEADS.replace(of_lane, not_begun))
    replace_function(
        functions.BEGIN,
        (of_lane, not_begun),
        ("WHERE lane = root", "WHERE begun_at IS NULL AND lane = root"),
    )
    replace_function(functions.FINISH, ("IS NOT TRUE THEN\n        RETURN false;", "IS NOT TRUE THEN"))
    monkeypatch.setattr(bodies, "HOT_CONVERSATIONS", 1)
    monkeypatch.setattr(bodies, "HOT", 1)
    assert "4" in broken(judge(Miniature(handler=inviting, claims=AlwaysGranted).run(load())))
