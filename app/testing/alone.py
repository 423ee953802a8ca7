"""The first depth: handlers alone, in a transaction that is rolled back when the test ends. No server runs.

What is split, which handler runs, retries and order are the product's rules; what is not there: stores, several
processes, time limits.
"""

import traceback
from datetime import UTC, datetime, timedelta
from itertools import count

from sqlalchemy import Connection
from sqlalchemy.orm import Session

from app.errors import RetryAfter
from app.handlers import UNEXPECTED, Context, Event, Handler, Registry, decide
from app.payload import ParsedEvent, parse
from app.stores import TransactionError
from app.testing.failed_run import FailedRun
from app.testing.lane_double import LaneDouble, WaitingRun
from app.testing.meta import Meta
from app.testing.outbox_double import OutboxDouble
from app.testing.own_session import fresh
from app.testing.team_models import move_times


class Alone:
    """Handlers, run one after the other in this thread."""

    def __init__(self, connection: Connection, registry: Registry, meta: Meta) -> None:
        self._connection = connection
        self._registry = registry
        self._meta = meta
        self._outbox = OutboxDouble(meta)
        self._session = Session(bind=connection, join_transaction_mode="create_savepoint")
        self._known: set[str] = set()
        self._ids = count(1)
        self._lanes: dict[tuple[str, str], LaneDouble] = {}
        self._failures: list[FailedRun] = []
        self._unhandled: list[str] = []
        self._settling = False

    @property
    def session(self) -> Session:
        """A session in the same transaction as the handlers'."""
        return fresh(self._session)

    def deliver(self, body: bytes) -> None:
        """Split a body, and give each new event to its handlers."""
        for parsed in parse(body).events:
            if parsed.key not in self._known:
                self._known.add(parsed.key)
                self._accept(parsed)

    def settle(self) -> None:
        """Run what may run, send what may leave, and let Meta report on it, until nothing is left to do now."""
        if self._settling:  # a handler's reply_now sends while it runs
            return
        self._settling = True
        try:
            while self._run_due() or self._outbox.send_due() or self._take_reports():
                pass
        finally:
            self._settling = False

    def move(self, time: timedelta) -> None:
        """Move into the past what is due, and the times in the tables: the clock itself stays the machine's."""
        for lane in self._lanes.values():
            lane.move(time)
        self._outbox.move(time)
        move_times(self._connection, self._registry, time)

    def failures(self) -> list[FailedRun]:
        return self._failures

    def stopped(self) -> list[str]:
        return [*self._unhandled, *self._outbox.dead]

    def _take_reports(self) -> bool:
        bodies = self._meta.reports()
        for body in bodies:
            self.deliver(body)
        return bool(bodies)

    def _accept(self, parsed: ParsedEvent) -> None:
        now = datetime.now(UTC)
        occurred_at = datetime.fromtimestamp(parsed.occurred_at, UTC) if parsed.occurred_at else now
        event = Event(
            id=next(self._ids),
            key=parsed.key,
            kind=parsed.kind,
            type=parsed.type,
            conversation=parsed.conversation,
            occurred_at=occurred_at,
            accepted_at=now,
            late=False,
            payload=parsed.payload,
        )
        if parsed.kind == "message" and parsed.conversation:
            self._outbox.wrote_at |= dict.fromkeys(parsed.aliases, (parsed.conversation, occurred_at))
        registry = self._registry
        origin = registry.origin_of(event.payload)
        handlers = registry.find_all(event.kind, event.type, origin)
        for handler in handlers:
            due_at = now + timedelta(seconds=handler.join_seconds or 0)
            self._lane(event, handler.lane).waiting.append(WaitingRun(event, handler, due_at))
        for name in registry.lanes_that_may_expect(event.kind, event.type, origin):
            unexpected = registry.find_for(event.kind, event.type, UNEXPECTED, name)
            if unexpected is not None:
                self._lane(event, name).waiting.append(WaitingRun(event, unexpected, now))
                handlers.append(unexpected)
        if not handlers and event.kind == "message":
            self._note_unhandled(event)

    def _note_unhandled(self, event: Event) -> None:
        self._unhandled.append(f"no handler is registered for a message of type {event.type!r}")

    def _lane(self, event: Event, name: str) -> LaneDouble:
        return self._lanes.setdefault((event.conversation or event.key, name), LaneDouble(name))

    def _run_due(self) -> bool:
        """Run what may run in each lane; return whether there was anything."""
        ran = False
        for lane in list(self._lanes.values()):
            for run in lane.due(self._registry):
                ran = True
                if self._run(lane, run):
                    lane.waiting.remove(run)
        return ran

    def _run(self, lane: LaneDouble, run: WaitingRun) -> bool:
        """Run an attempt; return whether the job is final."""
        handler = lane.handler_of(run, self._registry)
        if handler.name == UNEXPECTED:
            self._note_unhandled(run.event)
            return True
        run.attempts += 1
        try:
            self._perform(lane, run, handler)
        except Exception as error:
            return self._fail(run, handler, error)
        return True

    def _perform(self, lane: LaneDouble, run: WaitingRun, handler: Handler) -> None:
        """Run the handler to its end, in a savepoint that stands for its transaction."""
        context = Context(
            self._connection,
            run.attempts,
            run.events[-1],
            handler.name,
            outlet=self._outbox,
            dialog=lane.dialog_of(run, self._registry),
        )
        with self._outbox.attempt(), self._connection.begin_nested() as savepoint:
            try:
                handler.call(run.events, context)
                context.close()
            finally:
                context.end()
            if not savepoint.is_active:
                raise TransactionError("the handler ended the transaction that was to commit its effects")
            lane.keep(run.event, context)
        for wanted in context.wanted_pauses:
            self._lane(run.event, wanted.lane or lane.name).pause(wanted)

    def _fail(self, run: WaitingRun, handler: Handler, error: Exception) -> bool:
        decision = decide(handler.policy, run.attempts, error, lambda _low, high: high)
        self._failures.append(
            FailedRun(
                handler=handler.name,
                attempt=run.attempts,
                error=f"{type(error).__name__}: {error}",
                traceback="".join(traceback.format_exception(error)),
                dead=decision.dead,
                asked=isinstance(error, RetryAfter) and not decision.dead,
            )
        )
        run.due_at = datetime.now(UTC) + timedelta(seconds=decision.after_seconds or 0)
        return decision.dead
