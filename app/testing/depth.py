"""What runs a bot under test, at any depth."""

from datetime import timedelta
from typing import Protocol

from sqlalchemy.orm import Session

from app.testing.failed_run import FailedRun


class Depth(Protocol):
    """How deep a test goes."""

    @property
    def session(self) -> Session:
        """A session that sees the handlers' effects."""

    def deliver(self, body: bytes) -> None:
        """Post a body to the webhook, as Meta does."""

    def settle(self) -> None:
        """Run all that can run now."""

    def move(self, time: timedelta) -> None:
        """Let time pass; nothing runs yet."""

    def failures(self) -> list[FailedRun]:
        """Return every failed attempt, in order."""

    def stopped(self) -> list[str]:
        """Return, in words, what will not go on by itself: unhandled messages and sends that are dead."""
