"""Refused connections wait in a bounded number, and for a bounded time."""

import asyncio
from unittest.mock import Mock

import pytest

from app.web import parking
from app.web.parking import PARK_SECONDS, Parking


def transport() -> Mock:
    return Mock(spec=asyncio.Transport)


def test_a_connection_is_closed_after_its_time() -> None:
    refused, parked = transport(), Parking()
    parked.add(refused, 100.0)
    parked.close_due(100.0 + PARK_SECONDS / 2)
    assert not refused.abort.called
    parked.close_due(100.0 + PARK_SECONDS)
    assert refused.abort.called


def test_of_too_many_the_one_that_has_waited_longest_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "MAX_PARKED", 2)
    parked = Parking()
    refused = [transport() for _ in range(3)]
    for number, each in enumerate(refused):
        parked.add(each, float(number))
    assert [each.abort.called for each in refused] == [True, False, False]


def test_few_files_leave_room_for_honest_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking.resource, "getrlimit", lambda _: (8, 8))
    parked = Parking()
    refused = [transport() for _ in range(3)]
    for each in refused:
        parked.add(each, 0.0)
    assert [each.abort.called for each in refused] == [True, False, False]
