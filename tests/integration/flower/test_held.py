"""Events that wait for their next attempt, decided about over HTTP."""

from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from config.settings import Settings
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
