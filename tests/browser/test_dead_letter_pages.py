"""How the page of dead letters looks and is steered: keyboard, phone, sorting, paging, prefix."""

from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page as Tab
from playwright.sync_api import expect

from config.settings import Settings
from tests.browser.conftest import Login
from tests.browser.letters import dead, line
from tests.helpers import factories as f
from tests.helpers import sample_data
from tests.helpers.core import Core
from tests.helpers.flower import GRACE, Page, flower_page

pytestmark = pytest.mark.core(messages="failing", max_attempts=1)

FOCUSED = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
PHONE = {"width": 390, "height": 844}


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


def test_a_dialog_gives_the_focus_back_however_it_is_closed(core: Core, page: Page, login: Login) -> None:
    one, two = dead(core, "one", "two")
    tab = login()
    tab.goto(f"{page.url}/dead-letters")
    for action, dialog in (("Discard", "#confirm"), ("Edit", "#edit")):
        button = line(tab, one).get_by_role("button", name=action)
        button.focus()
        tab.keyboard.press("Enter")
        expect(tab.locator(dialog)).to_be_visible()
        tab.keyboard.press("Escape")
        expect(tab.locator(dialog)).to_be_hidden()
        expect(button).to_be_focused()
    line(tab, one).get_by_role("button", name="Discard").press("Enter")
    tab.keyboard.type("a test")
    tab.keyboard.press("Enter")
    expect(line(tab, one)).to_contain_text("discarded")
    expect(tab.locator(f'[data-open="{one}"]')).to_be_focused()  # its buttons are gone
    line(tab, two).get_by_role("checkbox").press("Space")
    tab.get_by_role("button", name="Retry selected").press("Enter")
    expect(tab.locator("#confirm")).to_be_hidden()  # one alone is retried at once


def test_on_a_phone_nothing_is_cut_off(core: Core, page: Page, login: Login) -> None:
    sample_data.events(core.engine, sample_data.conversations(core.engine, 3), 5)
    sample_data.samples(core.engine, datetime.now(UTC))
    tab = login(viewport=PHONE)
    for path, shown in {
        "/dead-letters": "[data-letter]",
        "/pipeline": "canvas",
        "/conversation/1#event-1": "[data-event]",
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
        "UPDATE past_attempts SET finished_at = finished_at - interval '2 d' WHERE job_id = :id", id=two
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
    core.execute("UPDATE outcomes SET finished_at = '2026-01-31T12:00Z' WHERE id <= 70")
    tab = login(timezone_id="America/New_York")
    tab.goto(f"{page.url}/dead-letters")
    tab.get_by_label("Died from").fill("2026-01-31T12:00")
    tab.get_by_label("Died before").fill("2026-01-31T12:01")  # in UTC, wherever the browser is
    tab.get_by_role("button", name="Filter", exact=True).click()
    expect(tab.locator("#place")).to_have_text("1 to 50 of 70")
    expect(line(tab, 70)).to_contain_text("2026-01-31 12:00:00 UTC")
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
    assert core.value("SELECT extract(epoch FROM max(due_at) - min(due_at)) FROM event_jobs") == 10


def test_below_a_prefix_everything_works_the_same(core: Core, login: Login) -> None:
    (id_,) = dead(core, "one")
    with flower_page(url_prefix="ops/flower") as page:
        tab = login()
        tab.goto(f"{page.url}/ops/flower/dead-letters")
        tab.get_by_role("button", name=f"Retry event {id_}").click()
        expect(line(tab, id_)).to_contain_text("pending")
    assert core.event("one").state == "pending"
