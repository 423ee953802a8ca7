"""Lanes, claims and ingest against a model, on real stores: whatever happens in whatever order, nothing is lost,
nothing is done twice, and each conversation goes by its order.

Everything happens in one process, one thing after the other, so the model knows exactly what must be. A worker
that is stopped in the middle of a handler is a thread that waits until it is told to go on.
"""

import threading
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from app.broker import wakes
from app.broker.envelope import arguments_of
from app.handlers import Context, Event
from app.lanes.outcome import Outcome, Step
from app.recovery import sweeper
from app.stores.redis_keys import JOURNAL
from config.celery import CONVERSATIONS
from config.settings import Settings
from tests.helpers import factories as f
from tests.helpers.core import LEASE_SECONDS, WAIT_SECONDS, Core, raw, write_note

USERS = 3
MESSAGES = 14
TIMES = 3  # seconds of Meta's time over which the messages are spread
FAILING = 4  # every so many messages fail at their first attempt
ATTEMPTS = 1000  # nothing dies in here: deaths have tests of their own
EXAMPLES = 25
STEPS = 40
ROUNDS = 5  # of sweeping and running, after which everything must be done

# The same examples each time, however slow the machine
STEADY = hypothesis_settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    derandomize=True,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)

TABLES = (
    "events, jobs, outcomes, past_attempts, lanes, deliveries, conversations, conversation_aliases, message_statuses,"
    " notes"
)
PENDING_BEFORE = """
SELECT count(*) FROM event_jobs other JOIN event_jobs mine ON other.lane = mine.lane
WHERE mine.id = :id AND other.state = 'pending'
  AND (other.occurred_at, other.delivery_id, other.position)
      < (mine.occurred_at, mine.delivery_id, mine.position)
"""
numbers = st.integers(0, MESSAGES - 1)


def message(number: int) -> f.Json:
    """Always the same for the same number."""
    at = f.NOW + number * 5 % TIMES
    return f.text_message(str(number), number=number, sender=number % USERS, timestamp=str(at))


class Stopped(threading.Thread):
    """A worker in the middle of a handler, until ``go_on``."""

    def __init__(self, step: Callable[[], Step]) -> None:
        super().__init__(daemon=True)
        self._step = step
        self.inside = threading.Event()
        self.may_go_on = threading.Event()
        self.result: Step | None = None

    def run(self) -> None:
        self.result = self._step()
        self.inside.set()  # also where it did not come to a handler

    def go_on(self) -> Step:
        self.may_go_on.set()
        self.join(WAIT_SECONDS)
        assert self.result is not None
        return self.result


class Pipeline(RuleBasedStateMachine):
    """The product, with everything that may happen to it as a rule."""

    core: Core

    @initialize()
    def begin(self) -> None:
        self.core = Core()
        self.core.on("message", function=self.handle, max_attempts=ATTEMPTS)
        self.core.execute("CREATE TABLE IF NOT EXISTS notes (words text NOT NULL)")
        self.core.execute(f"TRUNCATE {TABLES}")
        self.core.redis.flushall()
        self.accepted: dict[str, set[int]] = {}  # delivery → the numbers in it
        self.stopped: Stopped | None = None
        self.hold: Stopped | None = None  # the thread whose handler is to stop

    def handle(self, event: Event, ctx: Context) -> None:
        number = int(event.text or "")
        if number % FAILING == 0 and ctx.attempt == 1:
            raise ValueError("at first")
        write_note(ctx, str(number))
        here = threading.current_thread()
        if isinstance(here, Stopped):
            here.inside.set()
            assert here.may_go_on.wait(WAIT_SECONDS)

    # What is accepted

    @rule(found=st.lists(numbers, min_size=1, max_size=4))
    def accept(self, found: list[int]) -> None:
        (id_,) = self.core.accept(f.body(f.messages(*map(message, found))))
        self.accepted[id_] = set(found)

    @rule(found=st.lists(numbers, min_size=1, max_size=3))
    def accept_in_fallback_store(self, found: list[int]) -> None:
        id_ = self.core.accept_in_fallback_store(f.body(f.messages(*map(message, found))))
        self.accepted[id_] = set(found)

    @precondition(lambda self: self.core.redis.hlen(JOURNAL))
    @rule(which=st.integers(0, 9))
    def accept_in_both_stores(self, which: int) -> None:
        """The write to Redis timed out, and had happened."""
        waiting = sorted(id_.decode() for id_ in self.core.redis.hkeys(JOURNAL))
        id_ = waiting[which % len(waiting)]
        self.core.execute(
            "INSERT INTO deliveries (id, accepted_at, door, state, body) "
            "VALUES (CAST(:id AS uuid), clock_timestamp(), 'postgres', 'stored', :body) ON CONFLICT DO NOTHING",
            id=id_,
            body=raw(f.body(f.messages(*map(message, sorted(self.accepted[id_]))))),
        )

    # Ingest

    @precondition(lambda self: self.core.redis.llen("webhooks"))
    @rule(times=st.integers(1, 2))
    def ingest(self, times: int) -> None:
        """Twice: the broker gave the message out again."""
        deliveries = self.core.take_task()
        for _ in range(times):
            self.core.ingest_as(*deliveries)

    @precondition(lambda self: self.core.redis.llen("webhooks"))
    @rule()
    def lose_an_ingest_message(self) -> None:
        self.core.take_task()

    @rule()
    def sweep(self) -> None:
        sweeper.sweep_journal(self.core.redis, 0)
        with self.core.engine.connect() as connection:
            stored = sweeper.stored_deliveries(connection)
            due = sweeper.due_lanes(connection)
        if stored:
            self.core.ingest_as(*((str(each.id), each.body) for each in stored))
        wakes.wake(self.core.redis, due)
        sweeper.sweep_lanes(self.core.engine, self.core.redis, 0, LEASE_SECONDS)

    # Lanes

    def _take_wake(self) -> int | None:
        message: Any = self.core.redis.rpop(CONVERSATIONS)
        if message is None:
            return None
        lane: int = arguments_of(message)[0]
        wakes.receive_wakes(self.core.redis, [lane])
        return lane

    @rule()
    def run_one(self) -> None:
        lane = self._take_wake()
        if lane is not None:
            self._judge(lane, self.core.step(lane))

    def _judge(self, lane: int, step: Step) -> None:
        if step.outcome is Outcome.DONE:
            assert self.core.value(PENDING_BEFORE, id=step.job_id) == 0
        if step.has_more:
            wakes.wake(self.core.redis, [lane])

    @rule()
    def lose_a_wake(self) -> None:
        self.core.redis.rpop(CONVERSATIONS)

    @precondition(lambda self: self.stopped is None)
    @rule()
    def stop_a_worker_in_a_handler(self) -> None:
        lane = self._take_wake()
        if lane is None:
            return
        stopped = Stopped(lambda: self.core.step(lane, worker="stopped"))
        stopped.start()
        assert stopped.inside.wait(WAIT_SECONDS)
        if stopped.result is None:
            self.stopped = stopped
        else:
            self._judge(lane, stopped.go_on())

    @precondition(lambda self: self.stopped is not None)
    @rule()
    def let_the_stopped_worker_go_on(self) -> None:
        """Its effects count only if nobody else has begun the event."""
        assert self.stopped
        step = self.stopped.go_on()
        self.stopped = None
        assert step.outcome in (Outcome.DONE, Outcome.STALE_ATTEMPT)

    @rule()
    def leases_run_out(self) -> None:
        self.core.let_leases_run_out()

    @rule()
    def time_passes(self) -> None:
        self.core.make_due()

    @rule()
    def redis_loses_everything_but_the_journal(self) -> None:
        for key in self.core.redis.keys("*"):
            if not key.startswith(JOURNAL.encode()):
                self.core.redis.delete(key)

    # What must hold at each moment

    @invariant()
    def nothing_is_lost(self) -> None:
        kept = {str(row.id) for row in self.core.rows("SELECT id FROM deliveries")}
        kept |= {id_.decode() for id_ in self.core.redis.hkeys(JOURNAL)}
        assert self.accepted.keys() <= kept
        split = {str(row.id) for row in self.core.rows("SELECT id FROM deliveries WHERE state = 'split'")}
        keys = {row.key for row in self.core.rows("SELECT key FROM event_jobs")}
        wanted = {key_of(number) for id_ in split for number in self.accepted[id_]}
        assert keys == wanted

    @invariant()
    def effects_are_committed_once(self) -> None:
        done = self.core.rows("SELECT key FROM event_jobs WHERE state = 'done' ORDER BY key")
        assert sorted(map(key_of, map(int, self.core.notes()))) == [row.key for row in done]

    @invariant()
    def one_attempt_is_counted_for_each_begin(self) -> None:
        wrong = """SELECT count(*) FROM event_jobs e
            WHERE attempts <> (SELECT count(*) FROM job_attempts WHERE job_id = e.id)"""
        assert self.core.value(wrong) == 0

    def teardown(self) -> None:
        """When nothing more goes wrong, everything is finished."""
        if self.stopped:
            self.let_the_stopped_worker_go_on()
        for _ in range(ROUNDS):
            self.core.let_leases_run_out()
            self.core.make_due()
            self.sweep()
            self.core.ingest_waiting()
            self.core.run()
        assert set(self.core.states()) <= {"done"}
        assert self.core.redis.hlen(JOURNAL) == 0
        self.nothing_is_lost()
        self.effects_are_committed_once()


def key_of(number: int) -> str:
    return f"message:{f.wamid(number)}"


def test_whatever_happens_nothing_is_lost_or_done_twice_or_out_of_order(settings: Settings) -> None:
    run_state_machine_as_test(Pipeline, settings=STEADY)
