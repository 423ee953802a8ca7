"""The page of dead letters over HTTP: found, opened, retried, edited, discarded; and the queue that agrees with it."""

import json
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app import dead_letters
from app.broker.envelope import retry_dead_letter_message
from app.dead_letters import queue as dead_letter_queue
from app.dev.stack.embedded import free_port
from app.stores import connections
from app.views import dead_letters as dead_letter_list
from app.views.dead_letters import SORTED_BY, Filter
from config.celery import DEAD_LETTERS
from config.settings import Settings
from config.settings import settings as current
from tests.helpers import factories as f
from tests.helpers import sample_data
from tests.helpers.core import Core, text_body
from tests.helpers.flower import GRACE, Page, flower_page

pytestmark = pytest.mark.core(messages="failing", max_attempts=1)

ROOT = Path(__file__).parents[3]
NOBODYS_ID = 10**15
MANY = 1200
OF_TEN_MILLION = (
    "UPDATE pg_class SET reltuples = 1e7 WHERE oid = 'events'::regclass"  # what the planner believes
)
HUGE = 2**63


@pytest.fixture
def page(core: Core) -> Iterator[Page]:
    with flower_page() as opened:
        yield opened


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


# The table


def test_a_line_says_what_when_and_why_and_names_nobody(core: Core, page: Page) -> None:
    (id_,) = dead(core, "call me at 15551234567")
    found = table(page)
    (letter,) = found["letters"]
    assert found["total"] == 1
    assert letter["id"] == id_
    assert (letter["type"], letter["handler"], letter["attempts"]) == ("text", "tests.message_any", 1)
    assert letter["error"].startswith("ValueError: cannot handle")
    assert letter["first_failed_at"] is not None
    assert letter["died_at"] is not None
    for secret in (f.phone(1), f.user_id(1), "15551234567", "call me", f.wamid("call me at 15551234567")):
        assert secret not in json.dumps(found)


def test_personal_data_is_shown_on_request_and_that_is_logged(
    core: Core, page: Page, capfd: pytest.CaptureFixture[str]
) -> None:
    dead(core, "call me")
    (letter,) = table(page, reveal="1")["letters"]
    assert letter["conversation"] == f"{f.PHONE_NUMBER_ID}/{f.user_id(1)}"
    assert "call me" in letter["error"]
    assert "personal_data.shown" in capfd.readouterr().err


def test_filters_find_what_matches_and_nothing_else(core: Core, page: Page) -> None:
    (one, two) = dead(core, "blue parcel", "red parcel")
    (other,) = dead(core, "100%_sure", sender=2)
    core.execute("UPDATE events SET error = 'TimeoutError: slow', type = 'image' WHERE id = :id", id=two)
    lane = core.event("100%_sure").lane
    for asked, expected in {
        ("search", "blue"): {one},
        ("search", "PARCEL"): {one, two},
        ("search", "100%_sure"): {other},
        ("search", "%"): {other},
        ("search", "nothing of the kind"): set(),
        ("error_class", "TimeoutError"): {two},
        ("error_class", "Timeout"): set(),
        ("type", "image"): {two},
        ("handler", "tests.message_any"): {one, two, other},
        ("conversation", f"{f.PHONE_NUMBER_ID}/{f.phone(2)}"): {other},
        ("conversation", str(lane)): {other},
        ("conversation", f"+{f.phone(2)}"): {other},
        ("conversation", f.user_id(2)): {other},
        ("conversation", f.phone(2)[1:]): set(),
        ("after", "2099-01-01T00:00:00Z"): set(),
        ("before", "2099-01-01T00:00:00Z"): {one, two, other},
        ("ids", f"{one},{other}"): {one, other},
    }.items():
        found = table(page, **dict([asked]))
        assert (set(ids(found)), found["total"]) == (expected, len(expected)), asked


def test_text_is_found_however_json_spells_it(core: Core, page: Page) -> None:
    (id_,) = dead(core, 'schöne "Grüße" 🌷')
    dead(core, "others")
    for words in ("schöne", '"Grüße"', "🌷"):
        assert ids(table(page, search=words)) == [id_]


def test_pages_go_on_without_gaps_or_doubles_in_every_order(core: Core, page: Page) -> None:
    sample_data.events(core.engine, sample_data.conversations(core.engine, 5), 23)
    for sort in SORTED_BY:
        for order in ("ascending", "descending"):
            seen: list[int] = []
            after: dict[str, Any] = {}
            while True:
                found = table(page, sort=sort, order=order, limit=5, **after)
                seen += ids(found)
                if found["next"] is None:
                    break
                after = found["next"]
            assert len(seen) == len(set(seen)) == 23, (sort, order)


@pytest.mark.parametrize("after", [None, ("2099-01-31T12:00:00+00:00", 17)])
def test_a_page_of_the_newest_deaths_reads_no_more_rows_than_it_shows(
    core: Core, monkeypatch: pytest.MonkeyPatch, after: tuple[str, int] | None
) -> None:
    sample_data.events(core.engine, sample_data.conversations(core.engine), MANY)
    sample_data.analyze(core.engine)
    monkeypatch.setattr(dead_letter_list, "PAGE", "EXPLAIN (FORMAT JSON) " + dead_letter_list.PAGE)
    monkeypatch.setattr(dead_letter_list, "Row", lambda **row: row)
    with core.engine.connect() as connection:
        # The planner takes one event in 200 for dead: of a few it would rather read all that are, and sort them
        connection.execute(text(OF_TEN_MILLION))
        (row,) = dead_letter_list.page(connection, Filter(), after=after)
    limits = [node for node in nodes(row["QUERY PLAN"][0]["Plan"]) if node["Node Type"] == "Limit"]
    (plan,) = [node for node in limits if node["Plans"][0].get("Relation Name") != "attempts"]
    assert [node.get("Index Name", node["Node Type"]) for node in nodes(plan)] == ["Limit", "events_died"]


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """A query plan's node and those below it."""
    return [plan, *(node for child in plan.get("Plans", []) for node in nodes(child))]


def test_the_newest_death_comes_first(core: Core, page: Page) -> None:
    first, second = dead(core, "first")[0], dead(core, "second")[0]
    assert ids(table(page)) == [second, first]
    assert ids(table(page, order="ascending")) == [first, second]


def test_what_failed_first_comes_first_however_long_it_took_to_die(core: Core, page: Page) -> None:
    quick, slow = dead(core, "quick", "slow")
    core.ingest(b"no JSON")
    (unreadable,) = core.rows("SELECT id FROM events WHERE type = 'unreadable'")
    core.execute(
        "UPDATE attempts SET finished_at = finished_at - interval '1 hour' WHERE event_id = :id", id=slow
    )
    assert ids(table(page, sort="first_failed", order="ascending")) == [slow, quick, unreadable.id]
    assert ids(table(page, sort="first_failed")) == [unreadable.id, quick, slow]


@pytest.mark.parametrize(
    "asked",
    [{"sort": "payload"}, {"order": "sideways"}, {"limit": "0"}, {"limit": "x"}, {"after": "yesterday"}, {"ids": "1,x"},
     {"ids": str(HUGE)}, {"colour": "red"}, {"search": "x" * 1001}, {"after_value": "x", "after_id": "1"}],
)  # fmt: skip
def test_a_question_that_makes_no_sense_is_answered_with_a_sentence(
    page: Page, asked: dict[str, str]
) -> None:
    answer = page.get("/dead-letters/table", **asked)
    assert answer.status_code == 400
    assert answer.json()["error"]


def test_facets_offer_what_there_is_with_counts(core: Core, page: Page) -> None:
    dead(core, "one", "two")
    core.execute("UPDATE events SET type = 'image' WHERE id = :id", id=core.event("two").id)
    facets = page.get("/dead-letters/facets").json()["facets"]
    assert facets["type"] == [["image", 1], ["text", 1]]
    assert facets["error_class"] == [["ValueError", 2]]


# One letter


def test_a_letter_opens_to_its_payload_attempts_and_timeline(core: Core, page: Page) -> None:
    (id_,) = dead(core, "open me")
    answer = page.get(f"/dead-letters/{id_}").json()
    event = answer["event"]
    attempt = next(moment for moment in event["moments"] if moment["what"] == "attempt")
    assert "Traceback (most recent call last)" in attempt["detail"]["traceback"]
    assert [moment["what"] for moment in event["moments"]] == ["received", "stored", "attempt", "dead"]
    assert json.loads(event["payload"])["item"]["type"] == "text"
    assert "open me" not in json.dumps(answer)
    assert "open me" in page.get(f"/dead-letters/{id_}", reveal="1").text


@pytest.mark.parametrize(("id_", "status"), [(NOBODYS_ID, 404), (HUGE, 400)])
def test_an_unknown_id_is_said_to_be_one(page: Page, id_: int, status: int) -> None:
    answer = page.get(f"/dead-letters/{id_}")
    assert answer.status_code == status
    assert answer.json()["error"]


# Retry


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
        NOBODYS_ID: "there is no event with this id",
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


def test_all_that_match_are_retried_and_the_rest_stays(core: Core, page: Page) -> None:
    lanes = sample_data.conversations(core.engine, 60)
    sample_data.events(core.engine, lanes, MANY)
    count = page.post("/dead-letters/count", {"filter": {"type": "text"}}).json()["count"]
    changed, refused = retry_all(page, {"type": "text"})
    assert (len(set(changed)), refused) == (count, [])
    assert count == MANY // 2
    assert core.rows("SELECT type, state FROM events GROUP BY 1, 2 ORDER BY 1") == [
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
    turns = core.rows("SELECT due_at, holds FROM events ORDER BY due_at")
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


# Edit


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
    id_ = core.value("SELECT id FROM events")
    answer = page.post(f"/dead-letters/{id_}/edit", {"payload": '{"item": 1}'}).json()
    assert answer["changed"] == []
    assert "cannot be read" in answer["refused"][0]["why"]


# Discard


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


# The queue agrees with the table


def test_the_broker_page_shows_the_queue_that_nobody_consumes(core: Core, page: Page) -> None:
    dead(core, "one", "two", "three")
    assert queue(page) == 3
    assert DEAD_LETTERS in page.get("/broker").text


def test_the_queue_agrees_with_the_table_after_any_mix(core: Core, page: Page) -> None:
    chosen = dead(core, *(f"event {number}" for number in range(12)))
    page.post("/dead-letters/retry", {"ids": chosen[:3]})
    page.post("/dead-letters/discard", {"ids": chosen[3:5], "reason": "a test"})
    core.run()  # the three die again
    assert queue(page) == table(page)["total"] == 10
    core.redis.flushall()
    dead(core, "a new one", sender=2)
    core.execute("UPDATE events SET finished_at = finished_at - interval '1 minute' WHERE state = 'dead'")
    dead_letters.reconcile(core.engine, core.redis)
    assert queue(page) == table(page)["total"] == 11
    retry_all(page, {})
    assert queue(page) == table(page)["total"] == 0


def test_every_process_writes_the_same_message_for_a_letter(settings: Settings) -> None:
    code = "import sys; from app.broker.envelope import retry_dead_letter_message as m; sys.stdout.buffer.write(m(17))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout == retry_dead_letter_message(17)


def test_a_large_queue_is_written_anew_rather_than_searched(
    core: Core, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample_data.events(core.engine, sample_data.conversations(core.engine, 10), 40)
    dead_letters.reconcile(core.engine, core.redis)
    monkeypatch.setattr(dead_letter_queue, "MAX_COMPARISONS", 100)
    changed, _ = retry_all(page, {"type": "text"})
    assert queue(page) == 40
    assert page.post("/dead-letters/reconcile").json() == {"added": 0, "removed": len(changed)}
    assert queue(page) == table(page)["total"] == 20


# Flower's task API


def test_the_task_api_retries_one_by_its_id_and_records_who(core: Core, page: Page) -> None:
    one, two = dead(core, "one", "two")
    sent = page.post("/api/task/send-task/retry_dead_letter", {"args": [one]})
    assert sent.status_code == 200
    sent = page.as_user(GRACE).post(
        "/api/task/send-task/retry_dead_letter",
        {"kwargs": {"event_id": two, "who": "somebody else"}, "queue": DEAD_LETTERS},
    )
    assert sent.status_code == 200
    messages = [json.loads(message) for message in reversed(core.redis.lrange("maintenance", 0, -1))]
    assert [message["headers"]["task"] for message in messages] == ["retry_dead_letter"] * 2
    bodies = [json.loads(b64decode(message["body"])) for message in messages]
    assert [(body[0], body[1]) for body in bodies] == [([one], {"who": "ada"}), ([two], {"who": "grace"})]


@pytest.mark.parametrize(
    ("body", "status"),
    [({"args": [NOBODYS_ID]}, 404), ({"args": []}, 400), ({"args": [1, "ada"]}, 400), ({"args": ["1"]}, 400),
     ({"args": [HUGE]}, 400)],
)  # fmt: skip
def test_the_task_api_refuses_what_could_only_fail(
    core: Core, page: Page, body: dict[str, Any], status: int
) -> None:
    assert page.post("/api/task/send-task/retry_dead_letter", body).status_code == status
    assert core.redis.llen("maintenance") == 0


def test_the_task_api_refuses_what_is_not_dead(core: Core, page: Page) -> None:
    (id_,) = dead(core, "one")
    page.post("/dead-letters/retry", {"ids": [id_]})
    answer = page.post("/api/task/send-task/retry_dead_letter", {"args": [id_]})
    assert answer.status_code == 409
    assert "pending" in answer.text


# A store that is away


def test_while_postgres_is_away_a_sentence_says_so(
    core: Core, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://localhost:{free_port()}/nowhere")

    current.cache_clear()
    connections.engine().dispose()
    connections.engine.cache_clear()
    answer = page.post("/dead-letters/retry", {"ids": [1]})
    assert answer.status_code == 503
    assert "Postgres" in answer.json()["error"]
