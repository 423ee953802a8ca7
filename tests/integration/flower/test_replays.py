"""Events that are run again from Flower: counted, begun by who may, shown, stopped."""

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from app import replays
from config.settings import Settings
from tests.helpers.core import Core, text_body
from tests.helpers.flower import GRACE, Page
from tests.helpers.waiting import until

pytestmark = pytest.mark.core(messages="noted", of_process=True)
START = {"choice": {"kind": "message"}, "reason": "it was wrong"}


def table(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = page.get("/replays/table").json()["replays"]
    return found


@pytest.fixture(autouse=True)
def done(core: Core) -> None:
    core.ingest(text_body("one", "two"))
    core.run()


def test_a_replay_is_counted_before_it_is_begun(core: Core, page: Page) -> None:
    counted = page.post("/replays/count", {"choice": {"kind": "message"}}).json()
    assert counted == {
        "events": 2,
        "jobs": [{"lane": "main", "handler": "tests.message_any", "jobs": 2}],
        "sends": 0,
    }
    assert core.states() == {"done": 2}
    assert page.post("/replays/count", {"choice": {"type": "image"}}).json()["events"] == 0


def test_a_replay_is_begun_with_a_reason_and_shown_until_it_is_done(core: Core, page: Page) -> None:
    begun = page.as_user(GRACE).post("/replays/start", START).json()
    until(lambda: table(page)[0]["jobs"] == 2)
    (shown,) = table(page)
    assert (shown["id"], shown["who"], shown["reason"]) == (begun["replay"], "grace", "it was wrong")
    assert (shown["chosen"], shown["state"], shown["waiting"]) == ({"kind": "message"}, "going on", 2)
    core.run()
    until(lambda: table(page)[0]["state"] == "done")
    assert core.seen == ["one", "two"] * 2


def test_a_replay_is_stopped_and_what_has_not_begun_is_taken_back(core: Core, page: Page) -> None:
    begun = page.post("/replays/start", START).json()["replay"]
    until(lambda: table(page)[0]["jobs"] == 2)
    assert page.as_user(GRACE).post("/replays/stop", {"id": begun}).json() == {"taken_back": 2}
    assert (table(page)[0]["state"], table(page)[0]["stopped_by"]) == ("stopped", "grace")
    assert page.post("/replays/stop", {"id": begun}).status_code == 400
    core.run()
    assert core.seen == ["one", "two"]


@pytest.mark.parametrize(
    "body",
    [{}, {"choice": {}}, {"choice": {"colour": "red"}, "reason": "x"}, {"choice": {"since": "x"}, "reason": "x"},
     {"choice": {}, "reason": "x", "rate": "fast"}, {"choice": {"conversation": "nobody"}, "reason": "x"}],
)  # fmt: skip
def test_a_replay_that_makes_no_sense_is_not_begun(core: Core, page: Page, body: dict[str, Any]) -> None:
    assert page.post("/replays/start", body).status_code == 400
    assert core.value("SELECT count(*) FROM replays") == 0


def test_one_replay_too_many_is_refused_with_those_that_go_on(
    core: Core, page: Page, env: Callable[..., Settings]
) -> None:
    env(MAX_REPLAYS="1")
    going_on = replays.start(core.engine, replays.Choice(), "ada", "a test", 2)
    refused = page.as_user(GRACE).post("/replays/start", START)
    assert refused.status_code == 400
    assert f"({going_on.id} by ada)" in refused.json()["error"]
    assert core.value("SELECT count(*) FROM replays") == 1
    assert page.post("/replays/stop", {"id": going_on.id}).status_code == 200
    assert page.as_user(GRACE).post("/replays/start", START).status_code == 200


def test_who_may_only_look_begins_and_stops_nothing(
    core: Core, page: Page, env: Callable[..., Settings]
) -> None:
    env(FLOWER_READ_ONLY_USERS="grace")
    with capture_logs():
        for path in ("/replays/count", "/replays/start", "/replays/stop"):
            assert page.as_user(GRACE).post(path, START).status_code == 403
            assert page.as_user(None).post(path, START).status_code == 401
    assert core.value("SELECT count(*) FROM replays") == 0
    assert "switched off" in page.as_user(GRACE).get("/replays").text
