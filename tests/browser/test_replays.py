"""Events run again by a person, in a real browser."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Login
from tests.helpers.core import Core, text_body
from tests.helpers.flower import Page

pytestmark = pytest.mark.core(messages="noted", of_process=True)


def test_a_person_counts_begins_and_watches_a_replay(
    core: Core, page: Page, login: Login, worker: None
) -> None:
    core.ingest(text_body("one", "two"))
    core.run()
    tab = login()
    tab.goto(page.url)
    tab.get_by_role("link", name="Replays").click()
    expect(tab.get_by_text("No event was run again yet.")).to_be_visible()
    tab.get_by_label("Kind", exact=True).fill("message")
    tab.get_by_role("button", name="Count and run again").click()
    expect(tab.get_by_text("Run 2 jobs again?")).to_be_visible()
    tab.get_by_label("Why are they run again?").fill("the handler was wrong")
    tab.locator("#confirm-yes").click()
    row = tab.locator("[data-replay]")
    expect(row).to_contain_text("the handler was wrong")
    expect(row).to_contain_text("2 of 2")
    expect(row.get_by_text("done", exact=True)).to_be_visible()
    assert sorted(core.seen) == ["one", "one", "two", "two"]


def test_a_person_stops_a_replay(core: Core, page: Page, login: Login) -> None:
    core.ingest(text_body("one"))
    core.run()
    tab = login()
    tab.goto(f"{page.url}/replays")
    tab.get_by_role("button", name="Count and run again").click()
    tab.get_by_label("Why are they run again?").fill("a test")
    tab.locator("#confirm-yes").click()
    tab.get_by_role("button", name="Stop replay").click()
    tab.locator("#confirm-yes").click()
    expect(tab.locator("[data-replay]")).to_contain_text("stopped by ada")
    assert core.value("SELECT count(*) FROM jobs") == 0
