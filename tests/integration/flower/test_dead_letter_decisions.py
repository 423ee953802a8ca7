"""Decisions over HTTP: retried, edited, discarded, one by one and in bulk."""

import json
import threading
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from tests.helpers import sample_data
from tests.helpers.core import Core, text_body
from tests.helpers.flower import GRACE, Page
from tests.integration.flower.letters import HUGE, MANY, NOBODYS_ID, dead, retry_all

pytestmark = pytest.mark.core(messages="failing", max_attempts=1)


def test_a_retried_event_runs_again_and_it_is_known_who_retried_it(core: Core, page: Page) -> None:
    (id_,) = dead(core, "again")
    core.broken.clear()
    assert page.post("/dead-letters/retry", {"ids": [id_]}).json()["changed"] == [id_]
    core.run()
    assert core.seen == ["again"]
    assert page.get("/dead-letters/states", ids=id_).json()["states"][str(id_)]["state"] == "done"
    (action,) = core.rows("SELECT action, who FROM dead_letter_actions")
    assert tuple(action) == ("retry", "ada")


def test_retried_events_run_in_their_order_before_newer_ones_that_wait(core: Core, page: Page) -> None:
    chosen = dead(core, "first", "second", "third")
    core.ingest(text_body("newer"))
    core.broken.clear()
    page.post("/dead-letters/retry", {"ids": chosen[::-1]})
    core.run()
    assert core.seen == ["first", "second", "third", "newer"]


def test_what_is_not_dead_any_more_or_never_was_is_refused_with_a_reason(core: Core, page: Page) -> None:
    retried, discarded, left = dead(core, "retried", "discarded", "left")
    page.post("/dead-letters/discard", {"ids": [discarded], "reason": "a test"})
    page.post("/dead-letters/retry", {"ids": [retried]})
    answer = page.post("/dead-letters/retry", {"ids": [retried, discarded, left, NOBODYS_ID]}).json()
    assert answer["changed"] == [left]
    why = {each["id"]: each["why"] for each in answer["refused"]}
    assert why == {
        retried: "it is pending, not dead",
        discarded: "it is discarded, not dead",
        NOBODYS_ID: "there is no job with this number",
    }


def test_two_users_who_retry_at_once_retry_once(core: Core, page: Page) -> None:
    chosen = dead(core, *(f"event {number}" for number in range(30)))
    core.broken.clear()
    together = threading.Barrier(2)
    answers: list[dict[str, Any]] = []

    def press(somebody: Page, order: list[int]) -> None:
        together.wait()
        answers.append(somebody.post("/dead-letters/retry", {"ids": order}).json())

    users = [(page, chosen), (page.as_user(GRACE), chosen[::-1])]
    presses = [threading.Thread(target=press, args=user) for user in users]
    for each in presses:
        each.start()
    for each in presses:
        each.join()
    changed = [id_ for answer in answers for id_ in answer["changed"]]
    assert sorted(changed) == sorted(chosen)
    assert core.value("SELECT count(*) FROM dead_letter_actions") == len(chosen)
    core.run()
    assert len(core.seen) == len(chosen)


def test_all_that_match_are_retried_and_the_rest_stays(core: Core, page: Page) -> None:
    lanes = sample_data.conversations(core.engine, 60)
    sample_data.events(core.engine, lanes, MANY)
    count = page.post("/dead-letters/count", {"filter": {"type": "text"}}).json()["count"]
    changed, refused = retry_all(page, {"type": "text"})
    assert (len(set(changed)), refused) == (count, [])
    assert count == MANY // 2
    assert core.rows("SELECT type, state FROM event_jobs GROUP BY 1, 2 ORDER BY 1") == [
        ("image", "dead"), ("interactive", "dead"), ("text", "pending"),
    ]  # fmt: skip


def test_what_dies_again_meanwhile_is_not_retried_by_the_same_press(core: Core, page: Page) -> None:
    dead(core, "one")
    until = page.post("/dead-letters/count", {"filter": {}}).json()["now"]
    (late,) = dead(core, "two", sender=2)
    answer = page.post("/dead-letters/retry", {"filter": {}, "until": until}).json()
    assert late not in answer["changed"]
    assert core.event("two").state == "dead"


def test_a_rate_spreads_a_bulk_retry_and_holds_nobody_up_meanwhile(core: Core, page: Page) -> None:
    dead(core, "first", "second")
    dead(core, "third", sender=2)
    core.broken.clear()
    changed, _ = retry_all(page, {}, rate=0.01)
    assert len(changed) == 3
    turns = core.rows("SELECT due_at, holds FROM event_jobs ORDER BY due_at")
    gaps = [later.due_at - earlier.due_at for earlier, later in pairwise(turns)]
    assert gaps == [timedelta(seconds=100)] * 2
    assert not any(turn.holds for turn in turns)
    core.ingest(text_body("newer"))
    core.run()
    assert core.seen == ["first", "newer"]  # the first turn is at once
    core.make_due()
    for words in ("first", "third"):
        core.advance(core.event(words).lane)
    assert core.seen == ["first", "newer", "second", "third"]


@pytest.mark.parametrize(
    "body",
    [{}, {"ids": []}, {"ids": [0]}, {"ids": [True]}, {"ids": ["x"]}, {"ids": [HUGE]}, {"ids": [1] * 1001},
     {"ids": [1], "filter": {}}, {"filter": {}}, {"filter": []}, {"filter": {"colour": "red"}, "until": "2026-01-01"},
     {"filter": {}, "until": "soon"}, {"ids": [1], "rate": 0}, {"ids": [1], "rate": -1}, {"ids": [1], "rate": "fast"},
     {"filter": {}, "until": "2026-01-01", "after_lane": -1}, {"filter": {"search": "\x00"}, "until": "2026-01-01"}],
)  # fmt: skip
def test_a_decision_that_makes_no_sense_changes_nothing(core: Core, page: Page, body: dict[str, Any]) -> None:
    (id_,) = dead(core, "stays")
    assert id_ == 1
    answer = page.post("/dead-letters/retry", body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]
    assert core.event("stays").state == "dead"


def test_an_edited_payload_is_run_and_the_original_is_kept_with_who_and_when(core: Core, page: Page) -> None:
    (id_,) = dead(core, "brokn")
    payload = json.loads(page.get(f"/dead-letters/{id_}", reveal="1").json()["event"]["payload"])
    payload["item"]["text"]["body"] = "edited 🌷"
    answer = page.post(f"/dead-letters/{id_}/edit", {"payload": json.dumps(payload), "reason": "a typo"})
    assert answer.json()["changed"] == [id_]
    core.run()
    assert core.seen == ["edited 🌷"]
    (edit,) = page.get(f"/dead-letters/{id_}", reveal="1").json()["edits"]
    assert (edit["who"], edit["reason"]) == ("ada", "a typo")
    assert "brokn" in edit["payload"]
    whats = [moment["what"] for moment in page.get(f"/dead-letters/{id_}").json()["event"]["moments"]]
    assert whats == ["received", "stored", "attempt", "edit", "retry", "attempt", "done"]


@pytest.mark.parametrize(
    "payload",
    ["", "{", "[]", "17", '"text"', '{"value": {}}', '{"item": NaN}', '{"item": Infinity}', "[" * 100_000,
     '{"item": 1} and more'],
)  # fmt: skip
def test_what_no_handler_could_read_is_not_saved(core: Core, page: Page, payload: str) -> None:
    (id_,) = dead(core, "stays")
    before = core.event("stays").payload
    answer = page.post(f"/dead-letters/{id_}/edit", {"payload": payload})
    assert answer.status_code == 400
    assert "JSON" in answer.json()["error"] or "item" in answer.json()["error"]
    event = core.event("stays")
    assert (event.state, event.payload) == ("dead", before)
    assert core.value("SELECT count(*) FROM dead_letter_actions") == 0


def test_numbers_too_large_for_a_browser_and_odd_characters_survive_an_edit(core: Core, page: Page) -> None:
    (id_,) = dead(core, "odd")
    odd = '{"item": {"id": 12345678901234567890123, "text": {"body": "a\\u0000b\\ud800"}}}'
    assert page.post(f"/dead-letters/{id_}/edit", {"payload": odd}).json()["changed"] == [id_]
    assert json.loads(core.event("odd").payload) == json.loads(odd)
    shown = page.get(f"/dead-letters/{id_}", reveal="1").json()["event"]["payload"]
    assert json.loads(shown) == json.loads(odd)


def test_an_event_that_is_not_dead_cannot_be_edited(core: Core, page: Page) -> None:
    (id_,) = dead(core, "retried")
    page.post("/dead-letters/retry", {"ids": [id_]})
    before = core.event("retried").payload
    answer = page.post(f"/dead-letters/{id_}/edit", {"payload": '{"item": 1}'}).json()
    assert answer["refused"] == [{"id": id_, "why": "it is pending, not dead"}]
    assert core.event("retried").payload == before


def test_an_unreadable_body_has_no_payload_to_mend(core: Core, page: Page) -> None:
    core.ingest(b"no JSON")
    id_ = core.value("SELECT id FROM event_jobs")
    answer = page.post(f"/dead-letters/{id_}/edit", {"payload": '{"item": 1}'}).json()
    assert answer["changed"] == []
    assert "cannot be read" in answer["refused"][0]["why"]


def test_a_discard_needs_a_reason_and_keeps_it_with_who(core: Core, page: Page) -> None:
    (id_,) = dead(core, "unwanted")
    for reason in ("", "   ", None):
        assert page.post("/dead-letters/discard", {"ids": [id_], "reason": reason}).status_code == 400
    assert core.event("unwanted").state == "dead"
    answer = page.as_user(GRACE).post("/dead-letters/discard", {"ids": [id_], "reason": "a test number"})
    assert answer.json()["changed"] == [id_]
    assert core.event("unwanted").state == "discarded"
    moments = page.get(f"/dead-letters/{id_}").json()["event"]["moments"]
    decision = next(moment for moment in moments if moment["what"] == "discard")
    assert decision["detail"] == {"who": "grace", "reason": "a test number"}
