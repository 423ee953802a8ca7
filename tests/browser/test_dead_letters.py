"""What a person does with dead letters, in a real browser."""

import json
import re

import pytest
from playwright.sync_api import Page as Tab
from playwright.sync_api import Route, expect

from tests.browser.conftest import Login
from tests.browser.letters import dead, line
from tests.helpers import sample_data
from tests.helpers.core import Core
from tests.helpers.flower import GRACE, Page
from tests.helpers.waiting import until

pytestmark = pytest.mark.core(messages="failing", max_attempts=1)

ATTACKS = (
    "<script>window.attacked = 1; alert(1)</script>",
    "<img src=x onerror='window.attacked = 1; alert(1)'>",
    '"><svg onload=alert(1)>',
    "{{ 7 * 7 }} {% raw attacked %} javascript:alert(1)",
    "</textarea></script><iframe srcdoc='<script>parent.attacked = 1</script>'>",
)
MANY = 1000


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
    found = core.rows("SELECT type, state, count(*) FROM event_jobs GROUP BY 1, 2 ORDER BY 1")
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
    tab.goto(f"{page.url}/conversation/{core.value('SELECT lane FROM event_jobs')}#event-{id_}")
    tab.get_by_role("button", name=str(id_), exact=True).click()
    expect(tab.locator(".nd-event")).to_contain_text("Edited by ada")


@pytest.mark.parametrize("where", ["text", "error", "type"])
def test_what_a_message_says_stays_text(core: Core, page: Page, login: Login, where: str) -> None:
    ids = dead(core, *ATTACKS)
    for id_, attack in zip(ids, ATTACKS, strict=True):
        if where != "text":
            table = "outcomes" if where == "error" else "events"
            core.execute(f"UPDATE {table} SET {where} = :attack WHERE id = :id", attack=attack, id=id_)
            core.execute("UPDATE outcomes SET handler = :attack WHERE id = :id", attack=attack, id=id_)
    core.execute("UPDATE conversations SET key = :attack", attack=f"1/{ATTACKS[0]}")
    core.execute("UPDATE past_attempts SET traceback = :attack, worker = :attack", attack=ATTACKS[1])
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
    tab.goto(f"{page.url}/conversation/{core.value('SELECT DISTINCT lane FROM event_jobs')}")
    tab.get_by_role("button", name="Show personal data").click()
    expect(tab.locator("#name")).to_contain_text(ATTACKS[0])
    assert tab.evaluate("window.attacked") is None
    assert tab.locator("main iframe, main img, main script, main svg").count() == 0


# What the page said for a moment, for as long as the test asks
KEEP_TOASTS = """() => {
  const shown = document.getElementById("toast-container");
  window.said = "";
  new MutationObserver(() => { window.said += shown.textContent; }).observe(shown, { childList: true, subtree: true });
}"""


def _said(tab: Tab) -> str:
    return str(tab.evaluate("window.said"))


def test_two_users_who_press_retry_at_once_retry_once(core: Core, page: Page, login: Login) -> None:
    (id_,) = dead(core, "one")
    tabs = [login(), login(GRACE)]
    for tab in tabs:
        tab.goto(f"{page.url}/dead-letters")
        expect(line(tab, id_)).to_be_visible()
        tab.evaluate(KEEP_TOASTS)
    for tab in tabs:  # both see it as dead; one of them is later, if by a moment, whichever it is
        tab.get_by_role("button", name=f"Retry event {id_}").click(no_wait_after=True)
    until(
        lambda: all(_said(tab) for tab in tabs)
    )  # the page's CSP forbids wait_for_function: it evaluates a string
    said = [_said(tab) for tab in tabs]
    assert sum(f"Event {id_} retried" in each for each in said) == 1
    assert sum("left alone: it is pending, not dead" in each for each in said) == 1
    for tab in tabs:
        expect(line(tab, id_)).to_contain_text("pending")
    assert core.value("SELECT count(*) FROM dead_letter_actions") == 1
