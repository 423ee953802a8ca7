"""What a person does with dead letters, in a real browser."""

import json
import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page as Tab
from playwright.sync_api import Route, expect

from config.settings import Settings
from tests.browser.conftest import Login
from tests.helpers import factories as f
from tests.helpers import sample_data
from tests.helpers.core import WAIT_SECONDS, Core, text_body
from tests.helpers.flower import GRACE, Page, flower_page

pytestmark = pytest.mark.core(messages="failing", max_attempts=1)

ATTACKS = (
    "<script>window.attacked = 1; alert(1)</script>",
    "<img src=x onerror='window.attacked = 1; alert(1)'>",
    '"><svg onload=alert(1)>',
    "{{ 7 * 7 }} {% raw attacked %} javascript:alert(1)",
    "</textarea></script><iframe srcdoc='<script>parent.attacked = 1</script>'>",
)
MANY = 1000
FOCUSED = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
PHONE = {"width": 390, "height": 844}


def dead(core: Core, *words: str, **more: Any) -> list[int]:
    core.broken.update(words)
    core.ingest(text_body(*words, **more))
    gives_up_at = time.monotonic() + WAIT_SECONDS
    while any(core.event(each).state != "dead" for each in words):  # the worker beside us may run them
        assert time.monotonic() < gives_up_at
        core.run()
    return [int(core.event(each).id) for each in words]


def line(tab: Tab, id_: int) -> Any:
    return tab.locator(f'[data-letter="{id_}"]')


def test_a_dead_letter_is_found_read_retried_and_seen_to_be_done(
    core: Core, page: Page, worker: None, login: Login
) -> None:
    dead(core, "another", sender=2)
    (id_,) = dead(core, "where is my parcel")
    core.broken.clear()
    tab = login()
    tab.goto(page.url)
    tab.get_by_role("link", name="Dead letters").click()
    tab.get_by_label("Search", exact=True).fill("parcel")
    tab.get_by_role("button", name="Filter", exact=True).click()
    expect(tab.locator("[data-letter]")).to_have_count(1)
    tab.get_by_role("button", name=str(id_), exact=True).click()
    expect(tab.locator(".nd-event")).to_contain_text("Traceback (most recent call last)")
    expect(tab.locator(".nd-event")).not_to_contain_text("where is my parcel")
    tab.get_by_role("button", name=f"Retry event {id_}").click()
    expect(line(tab, id_)).to_contain_text("done")
    assert core.seen == ["where is my parcel"]
    assert core.event("another").state == "dead"


def test_what_fails_again_says_so_and_can_be_decided_about_anew(
    core: Core, page: Page, worker: None, login: Login
) -> None:
    (id_,) = dead(core, "one")
    tab = login()
    tab.goto(f"{page.url}/dead-letters")
    tab.get_by_role("button", name=str(id_), exact=True).click()
    tab.get_by_role("button", name=f"Retry event {id_}").click()
    expect(tab.locator("#toast-container")).to_contain_text(f"Event {id_} failed again")
    expect(tab.locator(".nd-event")).to_contain_text("Attempt 2")
    core.broken.clear()
    tab.get_by_role("button", name=f"Retry event {id_}").click()
    expect(line(tab, id_)).to_contain_text("done")
    assert core.seen == ["one"]


def test_a_bulk_retry_that_fails_again_is_seen_to(core: Core, page: Page, worker: None, login: Login) -> None:
    dead(core, "one", "two")
    core.broken.remove("one")
    tab = login()
    tab.goto(f"{page.url}/dead-letters")
    tab.get_by_role("button", name="Retry all that match").click()
    tab.locator("#confirm-yes").click()
    expect(tab.locator("#result")).to_contain_text("dead 1 done 1")
    expect(tab.locator("[data-letter]")).to_have_count(1)
    expect(tab.locator("#empty")).to_be_hidden()


def test_a_bulk_decision_that_breaks_off_says_how_far_it_came(core: Core, page: Page, login: Login) -> None:
    sample_data.events(core.engine, sample_data.conversations(core.engine), 2 * MANY)
    tab = login()
    tab.goto(f"{page.url}/dead-letters")
    answered: list[str] = []

    def second_fails(route: Route) -> None:
        answered.append(route.request.url)
        if len(answered) == 1:
            route.continue_()
        else:
            route.fulfill(status=503, json={"error": "Postgres does not answer"})

    tab.route("**/dead-letters/discard", second_fails)
    tab.get_by_role("button", name="Discard all that match").click()
    tab.get_by_label("Why need they not be handled?").fill("made up")
    tab.locator("#confirm-yes").click()
    expect(tab.locator("#result")).to_contain_text(
        "Stopped (Postgres does not answer); the others stay dead."
    )
    done = core.states()["discarded"]
    expect(tab.locator("#result")).to_contain_text(f"{done:,} discarded.")
    expect(tab.locator("#total")).to_contain_text(f"{2 * MANY - done:,} dead letters")


def test_when_there_is_none_all_is_well(page: Page, login: Login) -> None:
    tab = login()
    tab.goto(f"{page.url}/dead-letters")
    expect(tab.locator("#empty")).to_contain_text("All is well")


def test_all_that_match_are_retried_after_a_question_that_says_how_many(
    core: Core, page: Page, login: Login
) -> None:
    sample_data.events(core.engine, sample_data.conversations(core.engine), 2 * MANY)
    tab = login()
    tab.goto(f"{page.url}/dead-letters")
    tab.get_by_label("Type").select_option("text")
    expect(tab.locator("#total")).to_contain_text("1,000")
    tab.get_by_role("button", name="Retry all that match").click()
    expect(tab.locator("#confirm-title")).to_have_text("Retry 1,000 dead letters?")
    tab.locator("#confirm-yes").click()
    expect(tab.locator("#result")).to_contain_text("1,000 retried.")
    expect(tab.locator("#total")).to_contain_text("0 match")
    found = core.rows("SELECT type, state, count(*) FROM events GROUP BY 1, 2 ORDER BY 1")
    assert [tuple(row) for row in found] == [
        ("image", "dead", MANY // 2),
        ("interactive", "dead", MANY // 2),
        ("text", "pending", MANY),
    ]


def test_a_question_that_is_answered_with_no_changes_nothing(core: Core, page: Page, login: Login) -> None:
    dead(core, "one", "two")
    tab = login()
    tab.goto(f"{page.url}/dead-letters")
    tab.get_by_role("button", name="Discard all that match").click()
    expect(tab.locator("#confirm-title")).to_have_text("Discard 2 dead letters?")
    tab.locator("#confirm-no").click()
    expect(tab.locator("#confirm")).to_be_hidden()
    assert core.states() == {"dead": 2}


def test_selected_letters_are_discarded_with_a_reason(core: Core, page: Page, login: Login) -> None:
    one, two, _ = dead(core, "one", "two", "three")
    tab = login()
    tab.goto(f"{page.url}/dead-letters")
    for id_ in (one, two):
        tab.get_by_role("checkbox", name=f"Select event {id_}").check()
    tab.get_by_role("button", name="Discard selected").click()
    expect(tab.locator("#confirm-title")).to_have_text("Discard 2 dead letters?")
    tab.locator("#confirm-yes").click()
    expect(tab.locator("#confirm")).to_be_visible()  # without a reason nothing is sent
    tab.get_by_label("Why need they not be handled?").fill("sent by a test")
    tab.locator("#confirm-yes").click()
    expect(line(tab, one)).to_contain_text("discarded")
    expect(line(tab, two)).to_contain_text("discarded")
    assert core.event("three").state == "dead"
    decided = core.rows("SELECT event_id, who, reason FROM dead_letter_actions ORDER BY event_id")
    assert [tuple(row) for row in decided] == [(one, "ada", "sent by a test"), (two, "ada", "sent by a test")]


def test_a_payload_is_mended_and_retried(core: Core, page: Page, worker: None, login: Login) -> None:
    (id_,) = dead(core, "brokn")
    tab = login()
    tab.goto(f"{page.url}/dead-letters")
    tab.get_by_role("button", name=f"Edit event {id_}").click()
    editor = tab.locator("#edit-payload")
    expect(editor).to_have_value(re.compile("brokn"))
    payload = editor.input_value()
    editor.fill(payload + "}")
    tab.get_by_role("button", name="Save and retry").click()
    expect(tab.locator("#edit-error")).to_contain_text("not JSON")
    editor.fill(payload.replace("brokn", "mended"))
    tab.get_by_role("button", name="Save and retry").click()
    expect(line(tab, id_)).to_contain_text("done")
    assert core.seen == ["mended"]
    tab.goto(f"{page.url}/conversation/{core.value('SELECT lane FROM events')}")
    tab.get_by_role("button", name=str(id_), exact=True).click()
    expect(tab.locator(".nd-event")).to_contain_text("Edited by ada")


@pytest.mark.parametrize("where", ["text", "error", "type"])
def test_what_a_message_says_stays_text(core: Core, page: Page, login: Login, where: str) -> None:
    ids = dead(core, *ATTACKS)
    for id_, attack in zip(ids, ATTACKS, strict=True):
        if where != "text":
            core.execute(
                f"UPDATE events SET {where} = :attack, handler = :attack WHERE id = :id",
                attack=attack,
                id=id_,
            )
    core.execute("UPDATE conversations SET key = :attack", attack=f"1/{ATTACKS[0]}")
    core.execute("UPDATE attempts SET traceback = :attack, worker = :attack", attack=ATTACKS[1])
    tab = login()
    tab.goto(f"{page.url}/dead-letters")
    tab.get_by_role("button", name="Show personal data").click()
    for id_ in ids:
        tab.get_by_role("button", name=str(id_), exact=True).click()
    for attack in ATTACKS:
        if where == "text":
            spelled = json.dumps(attack, ensure_ascii=False)[1:-1]
            expect(tab.locator("pre", has_text=spelled).first).to_be_visible()
    tab.get_by_role("button", name=f"Edit event {ids[0]}").click()
    expect(tab.locator("#edit-payload")).to_have_value(re.compile("<"))
    tab.goto(f"{page.url}/conversation/{core.value('SELECT DISTINCT lane FROM events')}")
    tab.get_by_role("button", name="Show personal data").click()
    expect(tab.locator("#name")).to_contain_text(ATTACKS[0])
    assert tab.evaluate("window.attacked") is None
    assert tab.locator("main iframe, main img, main script, main svg").count() == 0


def test_two_users_who_press_retry_at_once_retry_once(core: Core, page: Page, login: Login) -> None:
    (id_,) = dead(core, "one")
    tabs = [login(), login(GRACE)]
    for tab in tabs:
        tab.goto(f"{page.url}/dead-letters")
        expect(line(tab, id_)).to_be_visible()
    for tab in tabs:  # both see it as dead; one of them is later, if by a moment
        tab.get_by_role("button", name=f"Retry event {id_}").click(no_wait_after=True)
    expect(tabs[0].locator("#toast-container")).to_contain_text(f"Event {id_} retried")
    expect(tabs[1].locator("#toast-container")).to_contain_text("left alone: it is pending, not dead")
    for tab in tabs:
        expect(line(tab, id_)).to_contain_text("pending")
    assert core.value("SELECT count(*) FROM dead_letter_actions") == 1


def test_a_read_only_user_finds_nothing_to_press(
    env: Any, settings: Settings, core: Core, page: Page, login: Login
) -> None:
    env(FLOWER_READ_ONLY_USERS="grace")
    (id_,) = dead(core, "one")
    tab = login(GRACE)
    tab.goto(f"{page.url}/dead-letters")
    expect(line(tab, id_)).to_be_visible()
    expect(tab.locator("#refusal")).to_contain_text("FLOWER_READ_ONLY_USERS")
    assert line(tab, id_).get_by_role("button", name="Retry").count() == 0
    for name in ("Retry all that match", "Discard all that match"):
        expect(tab.get_by_role("button", name=name)).to_be_disabled()


def test_everything_can_be_reached_with_the_keyboard(core: Core, page: Page, login: Login) -> None:
    (id_,) = dead(core, "one")
    tab = login()
    tab.goto(f"{page.url}/dead-letters")
    expect(line(tab, id_)).to_be_visible()
    tab.get_by_label("Search", exact=True).focus()
    reached = []
    for _ in range(40):
        tab.keyboard.press("Tab")
        reached.append(tab.evaluate(FOCUSED))
        if reached[-1] == str(id_):
            tab.keyboard.press("Enter")
        if reached[-1] == f"Discard event {id_}":
            tab.keyboard.press("Enter")
            break
    expect(tab.locator(".nd-event")).to_contain_text("Traceback")
    expect(tab.locator("#confirm")).to_be_visible()
    expect(tab.get_by_label("Why need they not be handled?")).to_be_focused()
    tab.keyboard.press("Escape")
    expect(tab.locator("#confirm")).to_be_hidden()
    assert f"Retry event {id_}" in reached


def test_on_a_phone_nothing_is_cut_off(core: Core, page: Page, login: Login) -> None:
    sample_data.events(core.engine, sample_data.conversations(core.engine, 3), 5)
    sample_data.samples(core.engine, datetime.now(UTC))
    tab = login(viewport=PHONE)
    for path, shown in {
        "/dead-letters": "[data-letter]",
        "/pipeline": "canvas",
        "/conversation/1": "[data-event]",
    }.items():
        tab.goto(page.url + path)
        tab.locator(shown).first.wait_for()
        assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"], path
        cut = tab.evaluate(
            "[...document.querySelectorAll('main button:not(.nd-sort), main td')].filter(each => each.offsetParent &&"
            " each.getBoundingClientRect().right > innerWidth + 1).length"
        )
        assert cut == 0, path


def shown(tab: Tab) -> list[int]:
    return [int(each.get_attribute("data-letter") or 0) for each in tab.locator("[data-letter]").all()]


def test_a_head_sorts_the_table_and_on_a_phone_a_list_of_them_does(
    core: Core, page: Page, login: Login
) -> None:
    one, two = dead(core, "one", "two")
    core.execute(
        "UPDATE attempts SET finished_at = finished_at - interval '2 d' WHERE event_id = :id", id=two
    )
    wide = login()
    wide.goto(f"{page.url}/dead-letters")
    expect(wide.get_by_label("Sort by")).to_be_hidden()
    wide.get_by_role("button", name="First failure").click()
    expect(wide.locator("th", has_text="First failure")).to_have_attribute("aria-sort", "descending")
    expect(wide.locator("[data-letter]").first).to_have_attribute("data-letter", str(one))
    wide.get_by_role("button", name="First failure").click()
    expect(wide.locator("[data-letter]").first).to_have_attribute("data-letter", str(two))
    expect(line(wide, two)).to_contain_text("2 d ago")

    phone = login(viewport=PHONE)
    phone.goto(f"{page.url}/dead-letters")
    expect(phone.locator("[data-letter]")).to_have_count(2)
    phone.get_by_label("Sort by").select_option("First failure")
    expect(phone.locator("[data-letter]").first).to_have_attribute("data-letter", str(one))
    phone.get_by_role("button", name="The other way round").click()
    expect(phone.locator("[data-letter]").first).to_have_attribute("data-letter", str(two))
    phone.reload()  # the address keeps it
    expect(phone.get_by_label("Sort by")).to_have_value("first_failed")
    assert shown(phone) == [two, one]


def test_on_a_phone_filters_unfold_and_find(core: Core, page: Page, login: Login) -> None:
    (id_,) = dead(core, "one")
    dead(core, "another", sender=2)
    tab = login(viewport=PHONE)
    tab.goto(f"{page.url}/dead-letters")
    expect(tab.locator("[data-letter]")).to_have_count(2)
    expect(tab.get_by_label("Conversation", exact=True)).to_be_hidden()
    tab.get_by_role("button", name="More filters").click()
    tab.get_by_label("Conversation", exact=True).fill(f"+{f.phone(1)}")
    tab.get_by_role("button", name="Filter", exact=True).click()
    expect(tab.locator("[data-letter]")).to_have_count(1)
    assert shown(tab) == [id_]
    tab.get_by_role("button", name="Fewer filters").click()
    expect(tab.get_by_label("Conversation", exact=True)).to_be_hidden()


def test_a_time_finds_what_died_then_and_pages_turn(core: Core, page: Page, login: Login) -> None:
    sample_data.events(core.engine, sample_data.conversations(core.engine), 120)
    core.execute("UPDATE events SET finished_at = '2026-01-31T12:00Z' WHERE id <= 70")
    tab = login(timezone_id="America/New_York")
    tab.goto(f"{page.url}/dead-letters")
    tab.get_by_label("Died from").fill("2026-01-31T06:00")
    tab.get_by_label("Died before").fill("2026-01-31T07:01")  # there; 12:01 UTC
    tab.get_by_role("button", name="Filter", exact=True).click()
    expect(tab.locator("#place")).to_have_text("1 to 50 of 70")
    first = shown(tab)
    tab.get_by_role("button", name="Next", exact=True).click()
    expect(tab.locator("#place")).to_have_text("51 to 70 of 70")
    assert sorted(first + shown(tab)) == list(range(1, 71))
    tab.get_by_role("button", name="Previous", exact=True).click()
    expect(tab.locator("#place")).to_have_text("1 to 50 of 70")
    tab.get_by_role("button", name="Clear").click()
    expect(tab.locator("#place")).to_have_text("1 to 50 of 120")


def test_a_retry_of_many_can_have_a_rate(core: Core, page: Page, login: Login) -> None:
    dead(core, "one", "two")
    tab = login()
    tab.goto(f"{page.url}/dead-letters")
    tab.get_by_role("button", name="Retry all that match").click()
    tab.get_by_label("At most so many a second").fill("0.1")
    tab.locator("#confirm-yes").click()
    expect(tab.locator("#result")).to_contain_text("2 retried.")
    assert core.value("SELECT extract(epoch FROM max(due_at) - min(due_at)) FROM events") == 10


def test_below_a_prefix_everything_works_the_same(core: Core, login: Login) -> None:
    (id_,) = dead(core, "one")
    with flower_page(url_prefix="ops/flower") as page:
        tab = login()
        tab.goto(f"{page.url}/ops/flower/dead-letters")
        tab.get_by_role("button", name=f"Retry event {id_}").click()
        expect(line(tab, id_)).to_contain_text("pending")
    assert core.event("one").state == "pending"
