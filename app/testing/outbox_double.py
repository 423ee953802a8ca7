"""The outbox of a test of handlers alone: sends in memory, which leave when their attempt has succeeded.

Its checks, requests, and what follows from an answer are the product's. What it does not do: rates, waiting for a
status (``after=``), settling what is unknown.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from uuid import UUID, uuid4

from sqlalchemy import Connection

from app.graph import read
from app.outbox import NewSend, TakenSend, judge
from app.testing.meta import Meta


@dataclass(slots=True)
class KeptSend:
    """A send that has not left."""

    id: int
    send: NewSend
    written_at: datetime
    due_at: datetime
    callback: UUID = field(default_factory=uuid4)
    attempts: int = 0

    @property
    def holds(self) -> bool:
        """Whether later sends of its conversation wait for it."""
        return self.send.due_at is None


class OutboxDouble:
    """Where the context of a handler writes its sends."""

    def __init__(self, meta: Meta) -> None:
        self.dead: list[str] = []  # what was refused for good, in words
        self.wrote_at: dict[
            str, tuple[str, datetime]
        ] = {}  # alias → conversation, and the user's last message
        self._meta = meta
        self._ids = count(1)
        self._steps: set[tuple[int, str, str]] = set()
        self._waiting: list[KeptSend] = []
        self._written: list[NewSend] = []  # by the attempt that runs
        self._cancelled: set[tuple[str, str]] = set()

    # What ``handlers.Outlet`` asks for

    def write(self, _connection: Connection, send: NewSend) -> bool:
        """Write a send, to leave if the attempt succeeds; return whether the step is new."""
        step = (send.event_id, send.handler, send.step)
        if step in self._steps or step in {(s.event_id, s.handler, s.step) for s in self._written}:
            return False
        self._written.append(send)
        return True

    def write_now(self, send: NewSend) -> bool:
        """Write a send that leaves whatever becomes of the attempt; return whether the step is new."""
        step = (send.event_id, send.handler, send.step)
        is_new = step not in self._steps
        if is_new:
            self._keep(send)
            self.send_due()
        return is_new

    def cancel(self, _connection: Connection, number: str, key: str) -> int:
        """Cancel sends of this key if the attempt succeeds; return how many."""
        self._cancelled.add((number, key))
        return sum(self._is_cancelled(each) for each in self._waiting)

    def find_conversation(
        self, _connection: Connection, number: str, recipient: str
    ) -> tuple[str, datetime | None] | None:
        """Return a recipient's conversation and when the user last wrote in it."""
        return self.wrote_at.get(f"{number}/{recipient}")

    # What the depth asks for

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Inside the block an attempt runs; what it wrote is kept if nothing is raised."""
        self._written, self._cancelled = [], set()
        yield
        self._waiting = [each for each in self._waiting if not self._is_cancelled(each)]
        for send in self._written:
            self._keep(send)

    def move(self, time: timedelta) -> None:
        """Move into the past what is known of sends and of users."""
        for kept in self._waiting:
            kept.due_at -= time
            kept.written_at -= time
            if kept.send.window_closes_at is not None:
                kept.send = replace(kept.send, window_closes_at=kept.send.window_closes_at - time)
        self.wrote_at = {alias: (key, at - time) for alias, (key, at) in self.wrote_at.items()}

    def send_due(self) -> bool:
        """Send what may leave, in order in each conversation; return whether there was anything."""
        held: set[str] = set()
        sent = False
        for each in list(self._waiting):
            if each.send.conversation in held:
                continue
            if each.due_at <= _now():
                sent = True
                self._post(each)
            if each in self._waiting and each.holds:
                held.add(each.send.conversation)
        return sent

    def _keep(self, send: NewSend) -> None:
        now = _now()
        self._steps.add((send.event_id, send.handler, send.step))
        self._waiting.append(KeptSend(next(self._ids), send, now, send.due_at or now))

    def _is_cancelled(self, kept: KeptSend) -> bool:
        return (kept.send.number, kept.send.cancel_key) in self._cancelled

    def _post(self, kept: KeptSend) -> None:
        send = kept.send
        body = send.body
        if send.window_closes_at is not None and send.window_closes_at < _now():
            if send.outside_window is None:
                self._waiting.remove(kept)
                self.dead.append(
                    "a send is dead: the user wrote more than 24 hours ago, and it names no template"
                )
                return
            body = send.outside_window
        kept.attempts += 1
        age = (_now() - kept.written_at).total_seconds()
        taken = TakenSend(
            kept.id, kept.attempts, send.number, send.address.kind, send.address.recipient, json.dumps(body),
            kept.callback, age,
        )  # fmt: skip
        status, content = self._meta.answer(send.number, taken.request())
        decision = judge(
            read(status, json.dumps(content).encode()), kept.attempts, age, lambda _low, high: high
        )
        if decision.state == "queued":
            kept.due_at = _now() + timedelta(seconds=decision.after_seconds)
            return
        self._waiting.remove(kept)
        if decision.state == "dead":
            self.dead.append(f"a send is dead: {decision.error}")


def _now() -> datetime:
    return datetime.now(UTC)
