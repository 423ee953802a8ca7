"""Events that wait for their next attempt, decided about over HTTP."""

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from config.settings import Settings
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body
from tests.helpers.flower import ADA, GRACE, Page

pytestmark = pytest.mark.core(messages="failing")


def hold(core: Core, words: str, sender: int = 1) -> int:
    core.broken.add(words)
    core.ingest(text_body(words, sender=sender))
    core.run()
    return int(core.event(words).id)


def test_one_is_hurried_and_who_did_it_is_kept_and_logged(core: Core, page: Page) -> None:
    id_ = hold(core, "one")
    core.broken.clear()
    with capture_logs() as logs:
        answer = page.as_user(GRACE).post("/held/retry", {"ids": [id_]})
    assert answer.json() == {"changed": [id_], "refused": [], "last_lane": None}
    assert any(
        {"event": "event.retried", "job_id": id_, "who": "grace"}.items() <= line.items() for line in logs
    )
    core.run()
    assert core.seen == ["one"]
    (moment,) = [
        each
        for each in page.get(f"/dead-letters/{id_}").json()["event"]["moments"]
        if each["what"] == "retry_held"
    ]
    assert moment["detail"]["who"] == "grace"


def test_a_skip_needs_a_reason_and_keeps_it_with_who(core: Core, page: Page) -> None:
    id_ = hold(core, "unwanted")
    for reason in ("", "  ", 7):
        assert page.post("/held/skip", {"ids": [id_], "reason": reason}).status_code == 400
    assert core.event("unwanted").state == "pending"
    with capture_logs() as logs:
        assert page.post("/held/skip", {"ids": [id_], "reason": "a test"}).json()["changed"] == [id_]
    assert any(
        {"event": "event.skipped", "who": "ada", "reason": "a test"}.items() <= line.items() for line in logs
    )
    assert core.event("unwanted").state == "skipped"
    (answer,) = page.post("/held/skip", {"ids": [id_], "reason": "again"}).json()["refused"]
    assert answer == {"id": id_, "why": "it is skipped, not held"}


def test_all_that_wait_are_hurried_in_parts_but_not_what_fails_again_meanwhile(
    core: Core, page: Page
) -> None:
    first, second = hold(core, "first"), hold(core, "second", sender=2)
    counted = page.post("/held/count", {"filter": {}}).json()
    assert counted["count"] == 2
    late = hold(core, "late", sender=3)
    asked = {"filter": {}, "until": counted["now"], "after_lane": 0}
    answer = page.post("/held/retry", asked).json()
    assert sorted(answer["changed"]) == [first, second]
    rest = page.post("/held/retry", asked | {"after_lane": answer["last_lane"]}).json()
    assert (rest["changed"], rest["last_lane"]) == ([], None)
    assert core.event("late").due_at is not None
    assert page.post("/held/count", {"filter": {"ids": str(late)}}).json()["count"] == 1


def test_who_may_only_look_changes_nothing(core: Core, page: Page, env: Callable[..., Settings]) -> None:
    id_ = hold(core, "one")
    env(FLOWER_READ_ONLY_USERS="grace")
    for path in ("/held/retry", "/held/skip"):
        body = {"ids": [id_], "reason": "none"}
        assert page.as_user(GRACE).post(path, body).status_code == 403
        assert page.as_user(None).post(path, body).status_code == 401
        form = page.client.post(page.url + path, data={"ids": id_}, auth=ADA)
        assert form.status_code == 415  # as another site's form would send it
    assert core.event("one").due_at is not None
    assert core.rows("SELECT FROM dead_letter_actions") == []
    assert "switched off" in page.as_user(GRACE).get("/pipeline").text


def table(page: Page, **asked: Any) -> tuple[list[int], int]:
    answer = page.post("/held/table", asked)
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["held"]], answer.json()["total"]


def test_what_waits_is_shown_and_names_nobody(core: Core, page: Page) -> None:
    core.broken.add("call 15551234567")
    core.ingest(text_body("call 15551234567", "waits"))
    core.run()
    answer = page.post("/held/table")
    (held,) = answer.json()["held"]
    assert (held["lane"], held["attempts"], held["waiting"]) == (int(core.event("waits").lane), 1, 2)
    assert held["blocks_lane"]
    assert held["error"].startswith("ValueError")
    for secret in ("15551234567", f.phone(1), f.user_id(1)):
        assert secret not in answer.text


def test_all_that_wait_can_be_sorted_and_shown(core: Core, page: Page) -> None:
    ids = [hold(core, words, sender) for sender, words in enumerate(("b", "a", "c"), start=1)]
    core.execute("UPDATE jobs SET attempts = attempts + 3 WHERE id = :id", id=ids[1])
    assert table(page, sort="attempts", order="descending")[0][0] == ids[1]
    assert table(page, sort="error") == ([ids[1], ids[0], ids[2]], 3)
    assert table(page, sort="error", limit=1) == ([ids[1]], 3)
    for sort in ("due", "failed", "waiting", "conversation"):
        ascending, _ = table(page, sort=sort)
        assert set(ascending) == set(ids)
    refused: list[dict[str, Any]] = [
        {"sort": "zzz"}, {"sort": []}, {"order": "up"}, {"limit": -5}, {"limit": "many"},
    ]  # fmt: skip
    for wrong in refused:
        assert page.post("/held/table", wrong).status_code == 400
