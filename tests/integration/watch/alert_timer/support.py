"""A timer that the tests turn by hand, with stores that they may take away."""

import pytest
from sqlalchemy import Engine, text

from app.watch import beat_signal
from tests.helpers.receiver import Receiver


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def publish_by_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(beat_signal._renewed, "at", float("-inf"))
    beat_signal.renew()


def sent(webhook: Receiver) -> list[tuple[str, str]]:
    return [(message["alert"], message["status"]) for message in webhook.messages]


def raised(engine: Engine) -> set[str]:
    with engine.connect() as connection:
        return set(connection.execute(text("SELECT name FROM alerts WHERE raised")).scalars())
