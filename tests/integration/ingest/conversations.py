"""Bodies and questions for the tests of conversations."""

from typing import Any

from tests.helpers.core import Core

PHONE_ONLY: dict[str, Any] = {"from_user_id": None}

USER_ONLY: dict[str, Any] = {"from": None}

MANY_EVENTS = 3000


def lanes_of(core: Core, *texts: str) -> list[int]:
    return [core.event(words).lane for words in texts]


def one(lanes: list[int]) -> bool:
    return len(set(lanes)) == 1
