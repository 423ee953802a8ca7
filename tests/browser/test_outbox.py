"""What a person does with replies that were not sent, in a real browser; and the chat with the bot."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Login
from tests.helpers.core import Core
from tests.helpers.flower import Page
from tests.helpers.graph import graph_stand_in
from tests.helpers.stack import Stack
from tests.integration.flower.test_outbox import states, write


def test_replies_are_sent_again_taken_for_sent_and_dropped(core: Core, page: Page, login: Login) -> None:
    ids = [write(core, number) for number in (1, 2, 3)]
    tab = login()
    tab.goto(page.url)
    tab.get_by_role("link", name="Outbox").click()
    expect(tab.locator("[data-send]")).to_have_count(3)
    for id_, label in zip(ids, ("Send again", "Was sent", "Drop"), strict=True):
        tab.get_by_role("button", name=f"{label}: reply {id_}", exact=True).click()
        tab.locator("#confirm-yes").click()
        expect(tab.locator(f'[data-send="{id_}"]')).to_have_count(0)
    expect(tab.get_by_text("No reply waits for a person.")).to_be_visible()
    assert states(core) == ["queued", "accepted", "dropped"]


def test_all_that_surely_were_not_sent_are_sent_again(core: Core, page: Page, login: Login) -> None:
    for number in range(1, 6):
        write(core, number)
    write(core, 6, "unknown", unsure=True)
    tab = login()
    tab.goto(f"{page.url}/outbox")
    tab.get_by_label("Show", exact=True).select_option("sure")
    expect(tab.locator("[data-send]")).to_have_count(5)
    tab.get_by_role("button", name="Send all again").click()
    tab.locator("#confirm-yes").click()
    expect(tab.get_by_text("5 sent again.")).to_be_visible()
    assert states(core) == ["queued"] * 5 + ["unknown"]


@pytest.mark.timeout(180)
def test_a_person_chats_with_the_bot(start_stack: Callable[..., Stack], login: Login) -> None:
    with graph_stand_in() as graph:
        stack = start_stack(
            senders=1, HANDLERS="examples.faq", WHATSAPP_API_URL=graph.url, WHATSAPP_ACCESS_TOKEN="token"
        )
        graph.report_to(f"{stack.url}/webhook")
        tab = login()
        tab.set_default_timeout(60_000)
        tab.goto(graph.url)
        tab.get_by_label("Message", exact=True).fill("hello")
        tab.get_by_role("button", name="Send", exact=True).click()
        tab.get_by_role("button", name="Where we are").click(timeout=60_000)
        expect(tab.get_by_text("1 Harbour Street")).to_be_visible(timeout=60_000)
        expect(tab.locator(".foot.read").first).to_be_visible(timeout=60_000)
