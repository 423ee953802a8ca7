"""One run of a handler, and what is to become of its job when it fails."""

import random
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import DBAPIError

from app.handlers import Context, Dialog, Event, Handler, RetryDecision, decide
from app.lanes.rows import Begun, Failure, Head
from app.lanes.statements import LaneStatements
from app.lanes.time_limit import time_limit

MOMENT_SECONDS = 1.0
ERROR_LENGTH = 1000
TRACEBACK_LENGTH = 20_000


class WorkerLostError(Exception):
    """The worker died under the job's last attempt; nobody was left to write down why."""


class AttemptsExhaustedError(Exception):
    """The job was tried so often, in all, that its attempts cannot be counted any further."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A job: its event, its handler, and how often it was tried."""

    head: Head
    event: Event
    handler: Handler
    number: int  # ever, the fence
    since_retry: int  # since the last retry by a person, from 1: what the policy counts
    before_lost: bool = False  # the attempt before has no end
    burst: tuple[Event, ...] = ()  # of a handler that joins: all of its events, ``event`` the first

    @classmethod
    def of(cls, head: Head, handler: Handler, begun: Begun) -> "Attempt":
        """Return the attempt of a job that has begun."""
        event = Event(
            id=head.event_id,
            key=head.key,
            kind=head.kind,
            type=head.type,
            conversation=head.conversation,
            occurred_at=head.occurred_at,
            accepted_at=head.accepted_at,
            late=begun.late,
            payload=head.payload,
        )
        return cls(
            head=head,
            event=event,
            handler=handler,
            number=begun.number,
            since_retry=begun.number - begun.number_at_retry,
            before_lost=begun.before_lost,
        )

    @property
    def job_id(self) -> int:
        return self.head.id

    @property
    def events(self) -> tuple[Event, ...]:
        """Return what the handler is to run."""
        return self.burst or (self.event,)

    @property
    def payloads(self) -> str:
        """Return what is hidden from logs while it runs, as JSON."""
        return f"[{','.join(event.payload for event in self.events)}]"

    @property
    def blocks_lane(self) -> bool:
        """Whether its lane waits while the job waits for its next attempt."""
        return self.handler.on_failure == "hold"

    @property
    def is_beyond_policy(self) -> bool:
        """Whether it had all its attempts before: the last one never ended, or a release lowered ``max_attempts``."""
        return self.since_retry > self.handler.policy.max_attempts

    def run(
        self,
        statements: LaneStatements,
        limit_seconds: float,
        wake_senders: Callable[[], object],
        dialog: Dialog,
        *,
        in_group: bool = False,
    ) -> Context:
        """Run the handler to its end, inside the transaction of its effects; return what it was given.

        ``in_group``: the transaction is that of other handlers too.
        """
        context = Context(
            statements.connection,
            self.since_retry,
            self.events[-1],  # an answer is to what was said last
            self.handler.name,
            wake_senders,
            replayed=self.head.replayed,
            sends_again_as=self.head.sends_again_as,
            dialog=dialog,
            in_group=in_group,
        )
        try:
            with time_limit(limit_seconds), statements.guarded():
                self.handler.call(self.events, context)
                context.close()
        finally:
            context.end()
        return context

    def failure(self, error: BaseException, *, costs_nothing: bool = False) -> Failure:
        """What is to be recorded: when it is tried again, by its handler's policy, and why it failed.

        ``costs_nothing``: another transaction was in the way, so it is tried again in a moment, beside the policy.
        """
        decision = RetryDecision(random.uniform(0, MOMENT_SECONDS)) if costs_nothing else self._decide(error)
        return Failure(
            dead=decision.dead,
            after_seconds=decision.after_seconds,
            blocks_lane=self.blocks_lane,
            error=_error_text(error),
            traceback=_traceback(error),
            costs_nothing=costs_nothing,
        )

    def fields(self) -> dict[str, Any]:
        """For log lines."""
        return {
            "job_id": self.job_id,
            "event_id": self.event.id,
            "lane_name": self.handler.lane,
            "key": self.event.key,
            "kind": self.event.kind,
            "type": self.event.type,
            "conversation": self.event.conversation,
            "handler": self.handler.name,
            "attempt": self.number,
            **({"joined": len(self.burst)} if len(self.burst) > 1 else {}),
        }

    def _decide(self, error: BaseException) -> RetryDecision:
        if isinstance(error, WorkerLostError | AttemptsExhaustedError):
            return RetryDecision(None)
        return decide(self.handler.policy, self.since_retry, error)


def _error_text(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    try:
        words = f"{type(cause).__name__}: {cause}"
    except BaseException as raised:  # its str() is the team's code too
        words = f"{type(cause).__name__}: (its str() raised {type(raised).__name__})"
    return _storable(words)[:ERROR_LENGTH]


def _traceback(error: BaseException) -> str:
    try:
        lines = traceback.format_exception(error)
    except BaseException:
        lines = traceback.format_tb(error.__traceback__)
    return _storable("".join(lines))[-TRACEBACK_LENGTH:]


def _storable(words: str) -> str:
    """Replace what Postgres text cannot hold and an error may quote: NUL and lone surrogates."""
    return words.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
