"""What a handler keeps of its conversation: ``ctx.state``, and the answer that it waits for, ``ctx.expect``.

Promises: both are committed with the job, or not at all; so a retry finds them as they were before. Relies on the lane:
its jobs run one at a time, in order. Cannot see what a handler keeps elsewhere.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.errors import Permanent
from app.handlers.options import HandlerError, check_seconds

MAX_STATE_BYTES = 32 * 1024
MAX_TIMEOUT_SECONDS = 365 * 24 * 3600
ANSWER = "answer"  # as kinds of events are, in the registry
TIMEOUT = "timeout"  # also the kind of the events that end an expectation


class InvalidDialog(Permanent):
    """What a handler wants to keep or expect is not possible; trying again would not help."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """What the next message of a lane is an answer to, and which handlers run it or its absence."""

    name: str
    answer_handler: str = ""
    timeout_handler: str | None = None
    timeout_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class DialogChange:
    """What an attempt that succeeds commits of its dialog."""

    keeps_state: bool = False
    state: str | None = None  # JSON; None: nothing is kept any more
    turns: bool = False  # what was expected is answered, or something else is
    expectation: Expectation | None = None


Find = Callable[[str], tuple[str, str | None]]  # name → the handlers of its answer and of its timeout


@dataclass
class Dialog:
    """The dialog of a lane as one attempt sees it.

    ``answers``: the event is what was expected. ``may_keep``, ``may_turn``: False for what is run after the dialog
    has gone on: see ``docs/conversations.md``.
    """

    read: Callable[[], str | None] = lambda: None
    find: Find = lambda _name: ("", None)
    answers: bool = False
    may_keep: bool = True
    may_turn: bool = True
    expectation: Expectation | None = None

    def __post_init__(self) -> None:
        self._was_read = False
        self._before: str | None = None
        self._state: Any = None

    @property
    def state(self) -> Any:
        """Return what was kept, read when it is first asked for; an empty dict if there is nothing."""
        if not self._was_read:
            self._before = self.read()
            self._state = {} if self._before is None else json.loads(self._before)
            self._was_read = True
        return self._state

    @state.setter
    def state(self, value: Any) -> None:
        _ = self.state
        self._state = value

    def expect(self, name: str, timeout: timedelta | float | None) -> None:
        """Have the next message run by ``@on_answer(name)``, and its absence by ``@on_timeout(name)``."""
        try:
            answer_handler, timeout_handler = self.find(name)
        except HandlerError as error:
            raise InvalidDialog(str(error)) from error
        seconds = _timeout_seconds(timeout)
        if seconds is not None and timeout_handler is None:
            raise InvalidDialog(
                f'expect("{name}", timeout=...) needs a handler that runs then: register @on_timeout("{name}")'
            )
        self.expectation = Expectation(name, answer_handler, timeout_handler if seconds else None, seconds)

    def change(self) -> DialogChange | None:
        """Return what is to be committed; None for nothing. InvalidDialog for a state that cannot be kept."""
        after = _as_json(self._state) if self._was_read else None
        keeps_state = self.may_keep and self._was_read and after != self._before
        turns = self.may_turn and (self.answers or self.expectation is not None)
        if not (keeps_state or turns):
            return None
        return DialogChange(keeps_state, after, turns, self.expectation if turns else None)


def _as_json(state: Any) -> str | None:
    """Return a state as it is stored, None for an empty one."""
    if state is None or state == {}:
        return None
    try:
        text = json.dumps(state, allow_nan=False)
        same = json.loads(text) == state
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidDialog(f"ctx.state cannot be kept as JSON: {error}") from error
    if not same:
        raise InvalidDialog(
            "ctx.state would come back as something else: use lists, and dicts whose keys are text"
        )
    if len(text) > MAX_STATE_BYTES:
        raise InvalidDialog(
            f"ctx.state has {len(text)} bytes as JSON, and may have {MAX_STATE_BYTES}:"
            " keep what is large in a table of yours"
        )
    return text


def _timeout_seconds(timeout: timedelta | float | None) -> float | None:
    if timeout is None:
        return None
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
    try:
        check_seconds("timeout", seconds)
    except HandlerError as error:
        raise InvalidDialog(str(error)) from error
    if seconds > MAX_TIMEOUT_SECONDS:
        raise InvalidDialog(f"timeout must be {MAX_TIMEOUT_SECONDS} seconds (a year) at most, not {seconds}")
    return float(seconds)
