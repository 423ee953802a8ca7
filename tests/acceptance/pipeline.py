"""A running pipeline as the acceptance tests see it: its processes, its traffic and what was committed."""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import pairwise
from typing import Any

import psutil
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.stores.connections import engine
from tests.acceptance.meta import Meta
from tests.acceptance.traffic import Item
from tests.helpers.stack import Stack

DRAIN_SECONDS = 90

STATES = text("SELECT state::text, count(*) FROM event_jobs WHERE key = ANY(:keys) GROUP BY state")
EVENT_ID = text("SELECT id FROM event_jobs WHERE key = :key")
EFFECTS = text("""
SELECT number, conversation, attempt, late, started_at, ended_at
FROM acceptance_effects WHERE key = ANY(:keys) ORDER BY started_at
""")
BEGUN = text("""
SELECT a.worker FROM job_attempts a JOIN event_jobs e ON e.id = a.job_id
WHERE e.key = :key AND a.number = :number
""")
ATTEMPTS = text("""
SELECT a.error, a.started_at, a.finished_at FROM job_attempts a JOIN event_jobs e ON e.id = a.job_id
WHERE e.key = :key ORDER BY a.number
""")


@dataclass(frozen=True, slots=True)
class Effect:
    """What one run of a handler committed."""

    number: int
    conversation: str
    attempt: int
    late: bool
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What a test sends to it, waits for in it and asserts of it."""

    stack: Stack
    meta: Meta

    # Sending

    def accept(self, sent: Sequence[Item]) -> None:
        """Post all of them; each must be answered with 200."""
        assert self.meta.post_all(sent) == []

    def deliver(self, sent: Sequence[Item]) -> None:
        """Post all of them, and again until each was answered with 200, as Meta would for seven days."""
        left = list(sent)

        def try_again() -> bool:
            left[:] = self.meta.post_all(left)
            return not left

        self.stack.wait_until(try_again, what="a 200 for every message")

    def open_gate(self, blocked: Item) -> None:
        """Let the handler go on that was told to block."""
        (self.stack.path / "gates" / str(blocked.number)).touch()

    # What was committed

    def rows(self, statement: Any, **parameters: Any) -> Sequence[Any]:
        with engine().connect() as connection:
            return connection.execute(statement, parameters).all()

    def states(self, sent: Iterable[Item]) -> "Counter[str]":
        """How many of the items are events in each state."""
        return Counter(dict(self.rows(STATES, keys=[each.key for each in sent])))

    def effects(self, sent: Iterable[Item]) -> list[Effect]:
        """What their handlers committed, in the order of their starts."""
        return [Effect(*row) for row in self.rows(EFFECTS, keys=[each.key for each in sent])]

    def attempts(self, sent: Item) -> Sequence[Any]:
        """``error``, ``started_at`` and ``finished_at`` of each attempt."""
        return self.rows(ATTEMPTS, key=sent.key)

    def logged(self, event: str, about: Item) -> bool:
        """Whether a log line of this name speaks of the message's event."""
        ids = self.rows(EVENT_ID, key=about.key)
        lines = (self.stack.path / "stack.log").read_text(encoding="utf-8").splitlines()
        return any(
            f'"event":"{event}"' in line and f'"event_id":{ids[0].id},' in line for line in lines if ids
        )

    # Waiting

    def wait_for_states(self, sent: Sequence[Item], timeout: float = DRAIN_SECONDS, **wanted: int) -> None:
        """Until the items are events in exactly these states: ``pending=1, done=9``."""

        def as_wanted() -> bool:
            with suppress(DBAPIError):  # Postgres may be what was stopped
                return self.states(sent) == wanted
            return False

        try:
            self.stack.wait_until(as_wanted, timeout)
        except AssertionError:
            raise AssertionError(f"wanted {wanted}, found {dict(self.states(sent))}") from None

    def wait_until_done(self, sent: Sequence[Item], timeout: float = DRAIN_SECONDS) -> None:
        self.wait_for_states(sent, timeout, done=len(sent))

    def wait_until_final(self, sent: Sequence[Item], timeout: float = DRAIN_SECONDS) -> None:
        """Until all are done, or found to have no handler."""

        def final() -> bool:
            found = self.states(sent)
            return found["done"] + found["unhandled"] == len(sent)

        self.stack.wait_until(final, timeout, "the end of all of them")

    def wait_until_begun(self, sent: Item, attempt: int = 1, timeout: float = DRAIN_SECONDS) -> "Runner":
        """Until the attempt has begun; who runs it."""

        def begun() -> str | None:
            return next((row.worker for row in self.rows(BEGUN, key=sent.key, number=attempt)), None)

        name = self.stack.wait_until(begun, timeout, f"attempt {attempt}") or ""
        process, _, pid = name.partition("/")
        return Runner(process.partition("@")[0], psutil.Process(int(pid)))

    def wait_for(self, seconds: float) -> None:
        """For outages that must last: nothing else waits for time alone."""
        over_at = time.monotonic() + seconds
        self.stack.wait_until(lambda: time.monotonic() > over_at)

    def wait_until_logged(self, event: str, about: Item) -> None:
        self.stack.wait_until(partial(self.logged, event, about), what=f"{event} in the log")

    # Verdicts

    def assert_done_once(self, sent: Sequence[Item], timeout: float = DRAIN_SECONDS) -> None:
        """Every message becomes done, and its effects were committed once."""
        self.wait_until_done(sent, timeout)
        assert sorted(effect.number for effect in self.effects(sent)) == sorted(each.number for each in sent)

    def assert_in_order(self, sent: Sequence[Item]) -> None:
        """The handlers of each conversation ran in the order of Meta's timestamps, and one at a time."""
        self.assert_one_at_a_time(sent)
        for effects in self._by_conversation(sent):
            assert [each.number for each in effects] == sorted(each.number for each in effects)

    def assert_one_at_a_time(self, sent: Sequence[Item]) -> None:
        """No two handlers of a conversation ran at once, and committed both."""
        for effects in self._by_conversation(sent):
            for earlier, later in pairwise(effects):
                assert earlier.ended_at <= later.started_at

    def _by_conversation(self, sent: Sequence[Item]) -> Iterable[list[Effect]]:
        found: dict[str, list[Effect]] = {}
        for effect in self.effects(sent):
            found.setdefault(effect.conversation, []).append(effect)
        return found.values()


@dataclass(frozen=True, slots=True)
class Runner:
    """Who runs an attempt: the stack's name of its worker, and the process of the pool."""

    name: str
    process: psutil.Process
