"""What the tests of Flower's dead letters share."""

from typing import Any

from config.celery import DEAD_LETTERS
from tests.helpers.core import Core, text_body
from tests.helpers.flower import Page

NOBODYS_ID = 10**15
MANY = 1200
HUGE = 2**63


def dead(core: Core, *words: str, **more: Any) -> list[int]:
    """Events that failed for good; their handler is fixed when they are taken out of ``core.broken``."""
    core.broken.update(words)
    core.ingest(text_body(*words, **more))
    core.run()
    return [int(core.event(each).id) for each in words]


def table(page: Page, **asked: Any) -> dict[str, Any]:
    answer = page.get("/dead-letters/table", **asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ids(found: dict[str, Any]) -> list[int]:
    return [letter["id"] for letter in found["letters"]]


def queue(page: Page) -> int:
    """The depth that Flower's Broker page shows."""
    queues = page.get("/api/queues/length").json()["active_queues"]
    return int(next(each["messages"] for each in queues if each["name"] == DEAD_LETTERS))


def retry_all(page: Page, wanted: dict[str, Any], **more: Any) -> tuple[list[int], list[dict[str, Any]]]:
    """As the page does it: part after part."""
    until = page.post("/dead-letters/count", {"filter": wanted}).json()["now"]
    changed: list[int] = []
    refused: list[dict[str, Any]] = []
    body = {"filter": wanted, "until": until, "after_lane": 0, **more}
    while body["after_lane"] is not None:
        part = page.post("/dead-letters/retry", body | {"first": len(changed)}).json()
        changed += part["changed"]
        refused += part["refused"]
        body |= {"after_lane": part["last_lane"], "since": part["since"]}
    return changed, refused
