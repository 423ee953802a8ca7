"""Lanes: the events of each conversation, run one at a time, in order.

Promises: the first event of a lane that is not final runs before any other; its effects are committed together with
its being done, at most once. Relies on Postgres for truth and on ``claims`` to keep workers from doing the same work.
Cannot see an event that has not been stored yet: one that arrives after a later one was done runs when it arrives,
marked ``late``.

The order is (occurred_at, delivery_id, position): Meta's timestamp, then what was accepted earlier, then the index in
the body.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Engine

from app.handlers import Registry
from app.lanes.batch_sizer import BatchSizer
from app.lanes.claims import Claims
from app.lanes.execution import Execution
from app.lanes.group import Group, Rest
from app.lanes.lease_renewer import LeaseRenewer
from app.lanes.outcome import Step
from app.lanes.runner import Runner
from app.lanes.statements import LaneStatements

RENEWAL_SLACK_SECONDS = 5  # a lease is renewed for this much longer than the handler may take


@dataclass(frozen=True, slots=True)
class Lanes:
    """Everything that running lanes needs."""

    engine: Engine
    claims: Claims
    registry: Registry
    worker: str  # who runs, as attempts and logs show it
    settle_seconds: float
    handler_time_limit_seconds: float
    enqueue_dead_letter: Callable[[int], object]  # enqueues a dead letter by its event's id, after its commit
    wake: Callable[[Sequence[int]], object]  # enqueues lanes, so that another worker runs them
    wake_senders: Callable[[], object]  # called when a handler's sends are committed
    record_unknown: Callable[[Iterable[str]], object]  # told of handlers that are not known here
    must_end: tuple[type[BaseException], ...] = ()  # exceptions that end the process, whoever raises them
    batch_sizer: BatchSizer = field(default_factory=BatchSizer)
    group_rest: Rest = field(default_factory=Rest)

    @contextmanager
    def runner(self) -> Iterator[Runner]:
        """What runs lanes, over one connection to Postgres. DBAPIError while Postgres is away."""
        with (
            LaneStatements.on(self.engine) as statements,
            LeaseRenewer(self.claims, self.wake) as renewer,
        ):
            execution = Execution(
                statements=statements,
                registry=self.registry,
                worker=self.worker,
                time_limit_seconds=self.handler_time_limit_seconds,
                set_deadline=lambda seconds: renewer.set_deadline(seconds + RENEWAL_SLACK_SECONDS),
                record_seconds=self.batch_sizer.record,
                enqueue_dead_letter=self.enqueue_dead_letter,
                wake_senders=self.wake_senders,
                must_end=self.must_end,
            )
            yield Runner(
                statements,
                self.claims,
                renewer,
                execution,
                Group(execution, self.group_rest),
                self.batch_sizer,
                self.settle_seconds,
                self.record_unknown,
            )

    def step(self, lane: int) -> Step:
        """Run the first event of the lane, if it may run now."""
        with self.runner() as runner:
            (step,) = runner.round([lane], 1)
            return step
