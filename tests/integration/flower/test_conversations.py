"""Conversations over HTTP: the list, what is found, and what was said."""

from typing import Any

import pytest

from app.handlers import Context, Event
from app.views import conversations
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body
from tests.helpers.flower import Page
from tests.integration.flower.letters import dead

pytestmark = pytest.mark.core(messages="failing", max_attempts=1)


def found(page: Page, looked_for: str = "", path: str = "/conversations/find") -> list[int]:
    answer = page.post(path, {"looked_for": looked_for})
    assert answer.status_code == 200, answer.text
    return [each["id"] for each in answer.json()["conversations"]]


@pytest.fixture
def two(core: Core) -> tuple[int, int]:
    """Two users' conversations; the second has the newest event."""
    ada = f.contact(1, profile={"name": "Ada Lovelace"})
    core.ingest(f.body(f.messages(f.text_message("parcel", number="one"), contacts=[ada])))
    core.ingest(text_body("two", sender=2))
    return int(core.rows("SELECT lane FROM events ORDER BY id")[0].lane), int(core.event("two").lane)


def test_the_newest_come_first_when_nothing_is_looked_for(two: tuple[int, int], page: Page) -> None:
    assert found(page) == [two[1], two[0]]


@pytest.mark.parametrize(
    "looked_for",
    [
        f.phone(1),
        f"+{f.phone(1)[:1]} {f.phone(1)[1:4]}-{f.phone(1)[4:]}",
        f.user_id(1),
        f"{f.PHONE_NUMBER_ID}/{f.user_id(1)}",
        f.wamid("one"),
        "ada love",
        "PARCEL",
    ],
)
def test_a_conversation_is_found_by_whatever_is_known_of_it(
    two: tuple[int, int], page: Page, looked_for: str
) -> None:
    assert found(page, looked_for) == [two[0]]


def test_a_conversation_is_found_by_its_number_an_event_of_it_and_a_delivery(
    core: Core, two: tuple[int, int], page: Page
) -> None:
    event = core.event("two")
    assert found(page, str(two[1])) == [two[1]]
    assert found(page, str(event.delivery_id)) == [two[1]]
    assert two[1] in found(page, str(event.id))  # the number may be another conversation's too


def test_nothing_and_nonsense_find_nothing(two: tuple[int, int], page: Page) -> None:
    for looked_for in ("nobody", "wamid.none", "%", "7" * 40, "' OR 1=1 --"):
        assert found(page, looked_for) == []
    assert page.post("/conversations/find", {"looked_for": "a\0b"}).status_code == 400
    assert page.post("/conversations/find", {"looked_for": 7}).status_code == 400


def test_words_are_looked_for_in_the_newest_events_alone(
    two: tuple[int, int], page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversations, "LOOKED_THROUGH", 1)
    assert found(page, "parcel") == []
    assert found(page, f.phone(1)) == [two[0]]


def test_a_merged_conversation_is_shown_once_under_its_last_number(core: Core, page: Page) -> None:
    core.ingest(f.body(f.messages(f.message("text", number="a", text={"body": "a"}, from_user_id=None))))
    core.ingest(text_body("b"))
    (lane,) = {row.lane for row in core.rows("SELECT lane FROM events")}
    assert found(page, f.phone(1)) == [lane]


def test_the_list_names_nobody_unless_it_is_asked_to(two: tuple[int, int], page: Page) -> None:
    masked = page.post("/conversations/find", {"looked_for": f.phone(1)})
    assert f.user_id(1) not in masked.text
    shown = page.post("/conversations/find?reveal=1", {"looked_for": f.phone(1)})
    assert f.user_id(1) in shown.text


def test_waiting_and_dead_jobs_are_counted(core: Core, page: Page) -> None:
    dead(core, "fails")
    core.ingest(text_body("waits", "waits too"))
    (row,) = page.post("/conversations/find").json()["conversations"]
    assert (row["dead_letters"], row["waiting"], row["paused"], row["last_type"]) == (1, 2, False, "text")


def said(page: Page, lane: int, **asked: Any) -> list[dict[str, Any]]:
    return [event["said"] for event in page.get(f"/conversation/{lane}/events", **asked).json()["events"]]


def test_what_was_said_is_shown_to_those_who_ask_for_it(core: Core, page: Page) -> None:
    core.ingest(text_body("my card is 4111"))
    lane = int(core.event("my card is 4111").lane)
    (masked,), (shown,) = said(page, lane), said(page, lane, reveal=1)
    assert masked == {"side": "user", "type": "text", "words": "…", "choices": []}
    assert shown["words"] == "my card is 4111"


def test_what_is_expected_and_kept_is_shown_with_its_texts_masked(core: Core, page: Page) -> None:
    def ask(event: Event, ctx: Context) -> None:
        ctx.state["street"] = event.text
        ctx.expect("order.city")

    core.registry.handlers.clear()
    core.on("message", None, ask)
    core.on("answer", "order.city")
    core.ingest(text_body("Harbour Street"))
    core.run()
    path = f"/conversation/{core.event('Harbour Street').lane}/events"
    (shown,) = page.get(path).json()["dialogs"]
    assert (shown["expects"], shown["lane_name"]) == ("order.city", "main")
    assert "street" in shown["state"]
    assert "Harbour" not in shown["state"]
    (revealed,) = page.get(f"{path}?reveal=1").json()["dialogs"]
    assert "Harbour Street" in revealed["state"]
