"""One run of a handler, and what is to become of its event when it fails."""

import traceback
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from app.handlers import Context, Event, Handler, RetryDecision, decide
from app.lanes.statements import Failure
from app.lanes.time_limit import time_limit

ERROR_LENGTH = 1000
TRACEBACK_LENGTH = 20_000


class WorkerLostError(Exception):
    """The worker died under each of the event's attempts; nobody was left to write down why."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """An event, its handler, and how often it was tried."""

    event: Event
    handler: Handler | None
    number: int  # ever, the fence
    since_retry: int  # since the last retry by a person, from 1: what the policy counts

    @property
    def blocks_lane(self) -> bool:
        """Whether its lane waits while the event waits for its next attempt."""
        return self.handler is None or self.handler.on_failure == "hold"

    def refuse_when_exhausted(self) -> None:
        """Attempts that ended with their worker's death count too, but nobody was there to decide."""
        if self.handler and self.since_retry > self.handler.policy.max_attempts:
            raise WorkerLostError(f"the worker died, or lost its claim, in attempt {self.number - 1}")

    def run(self, connection: Connection, limit_seconds: float) -> None:
        """Call the handler; an event whose handler is gone has nothing to do."""
        if self.handler is None:
            return
        context = Context(connection, self.since_retry)
        with time_limit(limit_seconds):
            self.handler.function(self.event, context)
            context.close()

    def failure(self, error: BaseException) -> Failure:
        """What is to be recorded: when it is tried again, by its handler's policy, and why it failed."""
        decision = self._decide(error)
        return Failure(
            dead=decision.dead,
            after_seconds=decision.after_seconds,
            blocks_lane=self.blocks_lane,
            error=_describe(error),
            traceback=_storable("".join(traceback.format_exception(error)))[-TRACEBACK_LENGTH:],
        )

    def fields(self) -> dict[str, Any]:
        """For log lines."""
        return {
            "event_id": self.event.id,
            "key": self.event.key,
            "kind": self.event.kind,
            "type": self.event.type,
            "conversation": self.event.conversation,
            "handler": self.handler.name if self.handler else None,
            "attempt": self.number,
        }

    def _decide(self, error: BaseException) -> RetryDecision:
        if self.handler is None or isinstance(error, WorkerLostError):
            return RetryDecision(None)
        return decide(self.handler.policy, self.since_retry, error)


def _describe(error: BaseException) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return _storable(f"{type(cause).__name__}: {cause}")[:ERROR_LENGTH]


def _storable(words: str) -> str:
    """Postgres text holds no NUL and no lone surrogate; an error's words may quote either."""
    return words.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
