"""Requests that were turned away are all counted, and logged at most once a second."""

from typing import Any

import pytest

from app.web import rejections
from app.web.rejections import LOG_INTERVAL_SECONDS, Rejections


class Log:
    def __init__(self) -> None:
        self.lines: list[dict[str, Any]] = []

    def warning(self, event: str, **fields: Any) -> None:
        self.lines.append({"event": event, **fields})


def test_a_flood_is_one_line_a_second_that_counts_them_all(monkeypatch: pytest.MonkeyPatch) -> None:
    log, now = Log(), 0.0
    monkeypatch.setattr(rejections, "log", log)
    counted = Rejections(clock=lambda: now)
    for _ in range(100):
        counted.count("signature")
    counted.count("too_large")
    now = LOG_INTERVAL_SECONDS
    counted.count("signature")
    assert [line["event"] for line in log.lines] == ["webhook.rejected"] * 2
    assert [line["requests"] for line in log.lines] == [{"signature": 1}, {"signature": 100, "too_large": 1}]
