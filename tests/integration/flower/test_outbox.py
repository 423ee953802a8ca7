"""Replies that wait for a person, decided about over HTTP."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from structlog.testing import capture_logs

from config.settings import Settings
from tests.helpers import factories as f
from tests.helpers.core import Core
from tests.helpers.flower import GRACE, Page


def write(core: Core, number: int, state: str = "dead", unsure: bool = False, code: int | None = None) -> int:
    core.execute(
        "INSERT INTO sends (event_id, handler, step, number, conversation, recipient_kind, recipient, body, callback,"
        " state, holds, unsure, error_code, error) VALUES (:number, 'bot', '1', :own, :conversation, 'phone', :phone,"
        " '{}', :callback, CAST(:state AS send_state), false, :unsure, :code, :error)",
        number=number, own=f.PHONE_NUMBER_ID, conversation=f"{f.PHONE_NUMBER_ID}/{f.phone(number)}",
        phone=f.phone(number), callback=uuid4(), state=state, unsure=unsure, code=code,
        error=f"(131026) cannot reach {f.phone(number)}",
    )  # fmt: skip
    return int(core.value("SELECT max(id) FROM sends"))


def table(page: Page, **asked: Any) -> dict[str, Any]:
    answer = page.get("/outbox/table", **asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def states(core: Core) -> list[str]:
    return [row.state for row in core.rows("SELECT state::text AS state FROM sends ORDER BY id")]


def test_what_waits_for_a_person_is_listed_and_names_nobody(core: Core, page: Page) -> None:
    dead, unknown = write(core, 1), write(core, 2, "unknown", unsure=True)
    write(core, 3, "accepted")
    found = table(page)
    assert [each["id"] for each in found["sends"]] == [dead, unknown]
    assert f.phone(1) not in page.get("/outbox/table").text
    assert f.phone(1) in page.get("/outbox/table", reveal="1").text


def test_the_filter_tells_what_surely_was_not_sent_from_what_may_have_been(core: Core, page: Page) -> None:
    sure, unsure = write(core, 1, code=131026), write(core, 2, "unknown", unsure=True)
    assert [each["id"] for each in table(page, sure="sure")["sends"]] == [sure]
    assert [each["id"] for each in table(page, sure="unsure")["sends"]] == [unsure]
    assert [each["id"] for each in table(page, code="131026")["sends"]] == [sure]


@pytest.mark.parametrize(
    ("action", "state"), [("send_again", "queued"), ("was_sent", "accepted"), ("drop", "dropped")]
)
def test_a_decision_is_kept_with_who_made_it(core: Core, page: Page, action: str, state: str) -> None:
    id_ = write(core, 1)
    answer = page.as_user(GRACE).post(f"/outbox/decide/{action}", {"ids": [id_]}).json()
    assert (answer["changed"], states(core)) == ([id_], [state])
    (noted,) = core.rows("SELECT * FROM send_actions")
    assert (noted.send_id, noted.action, noted.who) == (id_, action, "grace")


def test_all_that_match_are_decided_and_the_rest_stays(core: Core, page: Page) -> None:
    for number in (1, 2):
        write(core, number)
    write(core, 3, "unknown", unsure=True)
    answer = page.post("/outbox/decide/send_again", {"filter": {"sure": "sure"}, "after": 0}).json()
    assert (len(answer["changed"]), answer["last"]) == (2, None)
    assert states(core) == ["queued", "queued", "unknown"]


def test_why_a_number_is_stopped_names_nobody(core: Core, page: Page) -> None:
    core.execute(
        "INSERT INTO stopped_numbers (number, token_digest, error) VALUES ('1', 'x', :error)",
        error=f"(190) expired for {f.phone(1)}",
    )
    assert f.phone(1) not in page.get("/outbox/table").text
    assert f.phone(1) in page.get("/outbox/table", reveal="1").text


def test_a_stopped_number_is_shown_and_resumed(core: Core, page: Page) -> None:
    core.execute(
        "INSERT INTO stopped_numbers (number, token_digest, error) VALUES ('1', 'x', '(190) expired')"
    )
    assert [each["number"] for each in table(page)["stopped"]] == ["1"]
    assert page.post("/outbox/resume", {"number": "1"}).status_code == 200
    assert table(page)["stopped"] == []
    assert page.post("/outbox/resume", {"number": "1"}).status_code == 400


@pytest.mark.parametrize(
    "body", [{}, {"ids": []}, {"ids": ["x"]}, {"filter": {"colour": "red"}}, {"filter": {"code": "x"}},
             {"ids": [1], "filter": {}}, {"filter": {"sure": "perhaps"}}],
)  # fmt: skip
def test_a_decision_that_makes_no_sense_changes_nothing(core: Core, page: Page, body: dict[str, Any]) -> None:
    write(core, 1)
    assert page.post("/outbox/decide/drop", body).status_code == 400
    assert states(core) == ["dead"]


def test_who_may_only_look_decides_nothing(core: Core, page: Page, env: Callable[..., Settings]) -> None:
    id_ = write(core, 1)
    env(FLOWER_READ_ONLY_USERS="grace")
    with capture_logs():
        for path in ("/outbox/decide/drop", "/outbox/resume"):
            assert page.as_user(GRACE).post(path, {"ids": [id_], "number": "1"}).status_code == 403
            assert page.as_user(None).post(path, {"ids": [id_]}).status_code == 401
    assert states(core) == ["dead"]
    assert "switched off" in page.as_user(GRACE).get("/outbox").text
