"""Roles, and the browser's own guards, as people meet them in a real browser."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from config.settings import Settings
from tests.browser.conftest import Login
from tests.helpers.core import Core, text_body
from tests.helpers.flower import Page, flower_page

pytestmark = pytest.mark.core(messages="failing", broken=("one",), max_attempts=1)


def test_flowers_own_pages_work_under_our_policy(core: Core, page: Page, login: Login) -> None:
    tab = login()  # which fails the test where a script breaks or the policy stops one
    for path, shown in {
        "/workers": "#workers-table",
        "/tasks": "#tasks-table",
        "/broker": "#queue-table",
    }.items():
        tab.goto(page.url + path)
        expect(tab.locator(shown)).to_be_visible()
    tab.goto(f"{page.url}/workers")
    assert tab.evaluate("autorefresh") in (0, 1)  # the script that the nonce lets run


def test_a_search_stands_in_no_address_that_a_server_sees(core: Core, page: Page, login: Login) -> None:
    core.ingest(text_body("one"))
    core.run()
    tab = login()
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(f"{page.url}/dead-letters")
    tab.get_by_label("Search", exact=True).fill("4915112345678")
    tab.get_by_role("button", name="Filter", exact=True).click()
    expect(tab.locator("#empty")).to_contain_text("No dead letter matches")
    assert [url for url in asked if "4915112345678" in url] == []
    tab.reload()
    expect(tab.get_by_label("Search", exact=True)).to_have_value("4915112345678")
    expect(tab.locator("#empty")).to_contain_text("No dead letter matches")


def test_who_may_not_see_personal_data_is_not_offered_it(
    env: Callable[..., Settings], core: Core, login: Login
) -> None:
    env(FLOWER_ROLES="ada:decide")
    with flower_page() as page:
        tab = login()
        tab.goto(f"{page.url}/dead-letters")
        expect(tab.locator("#live")).to_be_visible()
        expect(tab.locator("#reveal")).to_be_hidden()
