"""The page of dead letters over HTTP: letters are found, sorted, paged and opened."""

import json
from typing import Any

import pytest
from sqlalchemy import text

from app.views import dead_letters as dead_letter_list
from app.views.dead_letters import SORTED_BY, Filter
from tests.helpers import factories as f
from tests.helpers import sample_data
from tests.helpers.core import Core
from tests.helpers.flower import Page
from tests.integration.flower.letters import HUGE, MANY, NOBODYS_ID, dead, ids, table

pytestmark = pytest.mark.core(messages="failing", max_attempts=1)

OF_TEN_MILLION = (
    "UPDATE pg_class SET reltuples = 1e7"  # what the planner believes
    " WHERE oid IN ('events'::regclass, 'outcomes'::regclass)"
)


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
    core.execute("UPDATE outcomes SET error = 'TimeoutError: slow' WHERE id = :id", id=two)
    core.execute("UPDATE events SET type = 'image' WHERE id = :id", id=two)
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
                after = {"cursor": found["next"]}
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
    (plan,) = [node for node in limits if node["Plans"][0].get("Relation Name") != "past_attempts"]
    assert [node.get("Index Name", node["Node Type"]) for node in nodes(plan)] == [
        "Limit",
        "Nested Loop",
        "outcomes_died",
        "events_pkey",
    ]


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
    (unreadable,) = core.rows("SELECT id FROM event_jobs WHERE type = 'unreadable'")
    core.execute(
        "UPDATE past_attempts SET finished_at = finished_at - interval '1 hour' WHERE job_id = :id", id=slow
    )
    assert ids(table(page, sort="first_failed", order="ascending")) == [slow, quick, unreadable.id]
    assert ids(table(page, sort="first_failed")) == [unreadable.id, quick, slow]


@pytest.mark.parametrize(
    "asked",
    [{"sort": "payload"}, {"order": "sideways"}, {"limit": "0"}, {"limit": "x"}, {"after": "yesterday"}, {"ids": "1,x"},
     {"ids": str(HUGE)}, {"colour": "red"}, {"search": "x" * 1001}, {"cursor": "x"}],
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


# Edit


# Discard


# The queue agrees with the table


# Flower's task API


# A store that is away
