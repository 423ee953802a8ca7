"""A lane of a test of handlers alone: what waits in it, its dialog, and its pause."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice, takewhile

from app.handlers import TIMEOUT, Context, Dialog, Event, Expectation, Handler, Registry, WantedPause


@dataclass(slots=True)
class WaitingRun:
    """What one handler has still to do with one event."""

    event: Event
    handler: Handler
    due_at: datetime
    attempts: int = 0
    burst: tuple[Event, ...] = ()  # of a handler that joins, once that is complete

    @property
    def events(self) -> tuple[Event, ...]:
        """Return what the handler is to run."""
        return self.burst or (self.event,)


@dataclass(slots=True)
class LaneDouble:
    """The runs of one conversation for one lane name."""

    name: str
    waiting: deque[WaitingRun] = field(default_factory=deque)
    _state: str | None = None  # of its dialog, as JSON
    _expected: Expectation | None = None
    _asked: Event | None = None  # whose handler expects something
    _answer_until: datetime | None = None
    _pause: WantedPause | None = None
    _paused_until: datetime | None = None

    def handler_of(self, run: WaitingRun, registry: Registry) -> Handler:
        """Return the handler that runs it now: its own, or that of the answer that is waited for."""
        return self._answer_handler(run, registry) or run.handler

    def dialog_of(self, run: WaitingRun, registry: Registry) -> Dialog:
        """Return the dialog as an attempt sees it."""
        origin = registry.origin_of(run.event.payload)
        return Dialog(
            read=lambda: self._state,
            find=lambda name: registry.expectation(name, self.name, origin),
            answers=run.event.kind == TIMEOUT or self._answer_handler(run, registry) is not None,
        )

    def keep(self, event: Event, context: Context) -> None:
        """Keep what an attempt that has succeeded wants of its lane."""
        change = context.dialog.change()
        if change is not None and change.keeps_state:
            self._state = change.state
        if change is not None and change.turns:
            self._expected, self._asked = change.expectation, event
            seconds = change.expectation.timeout_seconds if change.expectation else None
            self._answer_until = datetime.now(UTC) + timedelta(seconds=seconds) if seconds else None

    def pause(self, wanted: WantedPause) -> None:
        """Let nothing run until it is over; without a time until the test ends."""
        self._pause = wanted
        self._paused_until = datetime.now(UTC) + timedelta(seconds=wanted.seconds) if wanted.seconds else None

    def move(self, time: timedelta) -> None:
        """Move into the past what is due."""
        for run in self.waiting:
            run.due_at -= time
        if self._answer_until is not None:
            self._answer_until -= time
        if self._paused_until is not None:
            self._paused_until -= time

    def due(self, registry: Registry) -> Iterable[WaitingRun]:
        """Yield the first run if it may run now, then the next if it is gone or holds nothing up, and so on."""
        now = datetime.now(UTC)
        if self._is_paused(now):
            return
        self._time_out(now, registry)
        for run in list(self.waiting):
            if run not in self.waiting:  # it went with the burst before
                continue
            self._gather(run, now, registry)
            if run.due_at <= now:
                yield run
            if run in self.waiting and run.handler.on_failure == "hold":
                return

    def _gather(self, run: WaitingRun, now: datetime, registry: Registry) -> None:
        """Join what follows to a burst that is complete: its user is quiet, or something else follows."""
        if run.handler.join_seconds is None or run.burst:
            return
        if self._answer_handler(run, registry) is not None:
            run.due_at = now if run.attempts == 0 else run.due_at
            return
        behind = list(islice(self.waiting, self.waiting.index(run), None))
        members = list(takewhile(lambda each: each.handler is run.handler and not each.burst, behind))
        if len(members) < len(behind) or members[-1].due_at <= now:
            run.burst, run.due_at = tuple(each.event for each in members), now
            for each in members[1:]:
                self.waiting.remove(each)
        else:
            run.due_at = members[-1].due_at

    def _is_paused(self, now: datetime) -> bool:
        if self._pause is None:
            return False
        if self._paused_until is None or self._paused_until > now:
            return True
        if self._pause.skips:
            self.waiting = deque(run for run in self.waiting if run.event.kind != "message")
        self._pause = self._paused_until = None
        return False

    def _time_out(self, now: datetime, registry: Registry) -> None:
        """Put the run of a timeout first if nothing has answered in time."""
        expected, asked = self._expected, self._asked
        if self._answer_until is None or self._answer_until > now or expected is None or asked is None:
            return
        self._answer_until = None
        handler = registry.named(expected.timeout_handler or "")
        if handler is not None:
            key = f"{TIMEOUT}:{asked.key}"
            event = replace(asked, key=key, kind=TIMEOUT, type=expected.name)
            self.waiting.appendleft(WaitingRun(event, handler, now))

    def _answer_handler(self, run: WaitingRun, registry: Registry) -> Handler | None:
        """Return the handler of the answer that is waited for, if this is one."""
        if self._expected is None or run.event.kind != "message":
            return None
        handler = registry.named(self._expected.answer_handler)
        return handler if handler is not None and handler.takes_answer(run.event.type) else None
