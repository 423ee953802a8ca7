"""Conversations as people find and read them, in a real browser."""

import time

from playwright.sync_api import expect

from app.handlers import Context, Event
from app.watch import TargetHealth, target_health
from tests.browser.conftest import Login
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body
from tests.helpers.flower import Page

ATTACK = "<img src=x onerror='window.attacked = 1; alert(1)'>"


def ask(_event: Event, ctx: Context) -> None:
    ctx.reply("Which one?", buttons=["Red", "Blue"])


def test_a_conversation_is_found_by_its_phone_number_and_reads_like_a_chat(
    core: Core, page: Page, login: Login
) -> None:
    core.on("message", None, ask)
    core.ingest(text_body("hello", at=int(time.time())))
    core.run()
    core.execute("UPDATE sends SET state = 'accepted', status = 'read', accepted_at = clock_timestamp()")
    core.ingest(text_body("of another user", sender=2))
    tab = login()
    tab.goto(page.url)
    tab.get_by_role("link", name="Conversations").click()
    expect(tab.locator("tr[data-conversation]")).to_have_count(2)
    tab.locator("#looked-for").fill(f.phone(1))
    tab.keyboard.press("Enter")
    expect(tab.locator("tr[data-conversation]")).to_have_count(1)
    assert f.phone(1) not in tab.url.partition("#")[0]
    tab.locator("tr[data-conversation] a").first.click()
    chat = tab.locator("#chat")
    expect(chat.locator(".nd-user")).to_contain_text("…")
    tab.get_by_role("button", name="Show personal data").click()
    expect(chat.locator("li.nd-user")).to_contain_text("hello")
    expect(chat.locator("li.nd-bot")).to_contain_text("Which one?")
    expect(chat.locator("li.nd-bot")).to_contain_text("✓✓ read")
    expect(chat.locator(".nd-choices > span")).to_have_text(["Red", "Blue"])
    chat.locator("li.nd-user a").click()
    expect(tab.locator("[data-event]")).to_be_visible()


def test_what_is_looked_for_stays_when_the_page_is_loaded_again(core: Core, page: Page, login: Login) -> None:
    core.ingest(text_body("one"), text_body("two", sender=2))
    tab = login()
    tab.goto(f"{page.url}/conversations#{f.phone(2)}")
    expect(tab.locator("tr[data-conversation]")).to_have_count(1)
    expect(tab.locator("#looked-for")).to_have_value(f.phone(2))
    tab.get_by_role("button", name="Clear").click()
    expect(tab.locator("tr[data-conversation]")).to_have_count(2)
    tab.locator("#looked-for").fill("nobody of that name")
    tab.keyboard.press("Enter")
    expect(tab.locator("#empty")).to_contain_text("Nothing found")


def test_an_old_event_that_an_address_names_is_found_among_earlier_ones(
    core: Core, page: Page, login: Login
) -> None:
    core.ingest(text_body(*(f"m{number}" for number in range(250))))
    event = core.event("m3")
    tab = login()
    tab.goto(f"{page.url}/job/{event.id}")
    expect(tab.locator("tr:target")).to_contain_text(str(event.id))


def attack_everything(core: Core) -> int:
    """Put markup into whatever the pages show that users, handlers, targets or other people wrote."""
    attack = ATTACK
    core.on("message", None, lambda _event, ctx: ctx.reply(attack[:1000], buttons=["<b>Yes"]))
    contact = f.contact(1, profile={"name": attack})
    core.ingest(f.body(f.messages(f.text_message(attack), contacts=[contact])))
    core.ingest(f.body(f.messages(f.message("<i>type", number="odd"))))
    core.run()
    lane = int(core.rows("SELECT lane FROM events ORDER BY id")[0].lane)
    for statement in (
        "UPDATE conversations SET key = '1/' || :attack",
        "UPDATE lanes SET paused_at = now(), paused_by = :attack, paused_why = :attack",
        "INSERT INTO dialogs (lane, changed_at, expects, state) SELECT id, now(), :attack, '\"<b>\"' FROM lanes",
        "UPDATE sends SET state = 'dead', error = :attack",
        "UPDATE outcomes SET error = :attack, handler = :attack, worker = :attack",
        "INSERT INTO replays (who, reason, chosen, stopped_by) VALUES (:attack, :attack, '{}', :attack)",
        "INSERT INTO paused_targets (name, who, reason) VALUES ('crm', :attack, :attack)",
    ):
        core.execute(statement, attack=attack)
    target_health.publish(core.redis, "forwarder", {"crm": TargetHealth(last_error=attack, forwarders=1)})
    return lane


def test_nothing_that_anybody_writes_is_run_on_any_page(core: Core, page: Page, login: Login) -> None:
    lane = attack_everything(core)
    tab = login()
    for path, shown in (
        ("/conversations#%", "tr[data-conversation]"),  # no name, and not the end of the script either
        (f"/conversation/{lane}", "#chat li"),
        (f"/conversation/{lane}#event-1", "[data-event]"),
        (f"/conversation/{lane}/erasure", "#planned"),
        ("/replays", "[data-replay]"),
        ("/pipeline", "[data-target]"),
        ("/outbox", "tbody tr"),
    ):
        tab.goto(page.url + path)
        tab.locator(shown).first.wait_for(state="attached")
        reveal = tab.get_by_role("button", name="Show personal data")
        if reveal.count():
            reveal.click()
            expect(tab.locator("body")).to_contain_text("window.attacked")
        assert tab.evaluate("window.attacked") is None, path
        assert tab.locator(".nd-page iframe, .nd-page img, .nd-page script").count() == 0, path
        assert "attacked" not in tab.title()
