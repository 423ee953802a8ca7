"""The pipeline and a conversation as people see them, in a real browser."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from app.dev.stack.embedded import free_port
from app.targets import pauses
from app.watch import TargetHealth, target_health
from app.watch.alerts import watch
from config.settings import Settings
from tests.browser.conftest import Login
from tests.helpers import sample_data
from tests.helpers.core import Core, text_body
from tests.helpers.flower import GRACE, Page, flower_page
from tests.helpers.targets import SECRET

pytestmark = pytest.mark.core(messages="failing", max_attempts=1)


def test_the_numbers_change_without_a_reload(core: Core, page: Page, login: Login) -> None:
    tab = login()
    tab.goto(f"{page.url}/pipeline")
    done = tab.locator('[data-number="minute.done"]')
    expect(done).to_have_text("0")
    core.ingest(text_body("one", "two"))
    core.run()
    expect(done).to_have_text("2")


def test_the_charts_are_drawn_for_the_hour_and_the_day_in_light_and_dark(
    core: Core, page: Page, login: Login
) -> None:
    sample_data.samples(core.engine, datetime.now(UTC))
    for scheme in ("light", "dark"):
        tab = login(color_scheme=scheme)
        tab.goto(f"{page.url}/pipeline")
        expect(tab.locator("canvas")).to_have_count(4)
        tab.get_by_role("button", name="Day").click()
        expect(tab.locator("#charts-title")).to_have_text("Last day")
        expect(tab.locator("canvas")).to_have_count(4)
        painted = tab.evaluate(
            """[...document.querySelectorAll("canvas")].every(canvas => {
              const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
              return pixels.some(value => value > 0);
            })"""
        )
        assert painted
        expect(tab.locator(".u-legend .u-value", has_text=re.compile(r"\d")).first).to_be_visible()


def test_a_held_conversation_is_a_link_to_its_events(core: Core, page: Page, login: Login) -> None:
    core.registry.handlers.clear()
    core.on("message", function=core.failing("fails"), max_attempts=3)
    core.ingest(text_body("fails", "waits"))
    core.run()
    tab = login()
    tab.goto(f"{page.url}/pipeline")
    tab.locator("#held a").click()
    expect(tab.locator("[data-event]")).to_have_count(2)
    expect(tab.locator("[data-event]").first).to_contain_text("ValueError")
    expect(tab.locator("tr:target")).to_contain_text("ValueError")  # which holds it


def test_what_waits_is_hurried_or_skipped_with_a_reason(
    core: Core, page: Page, worker: None, login: Login
) -> None:
    core.registry.handlers.clear()
    core.on("message", function=core.failing("fixed", "unwanted", "third"), max_attempts=3)
    for sender, words in enumerate(("fixed", "unwanted", "third"), start=1):
        core.ingest(text_body(words, sender=sender))
    tab = login()
    tab.goto(f"{page.url}/pipeline")
    expect(tab.locator("#held tr button")).to_have_count(6)
    core.broken.clear()
    tab.get_by_role("button", name=f"Retry event {core.event('fixed').id}").click()
    expect(tab.locator("#held tr button")).to_have_count(4)
    tab.get_by_role("button", name=f"Skip event {core.event('unwanted').id}").click()
    expect(tab.locator("#reason")).to_be_focused()
    tab.keyboard.type("a test")
    tab.get_by_role("button", name="Skip", exact=True).click()
    expect(tab.locator("#held tr button")).to_have_count(2)
    tab.get_by_role("button", name="Retry all that wait").click()
    tab.get_by_role("button", name="Retry 1", exact=True).click()
    expect(tab.locator("#held")).to_contain_text("No conversation is held up.")
    expect(tab.locator("#held-result")).to_have_text("1 retried.")
    assert core.seen == ["fixed", "third"]
    assert core.event("unwanted").state == "skipped"


def test_a_raised_alert_is_shown(core: Core, page: Page, login: Login, settings: Settings) -> None:
    core.broken.add("fails")
    core.ingest(text_body("fails"))
    core.run()
    watch(core.engine, core.redis, settings)
    tab = login()
    tab.goto(f"{page.url}/pipeline")
    expect(tab.locator("#alerts")).to_contain_text("dead letters")


def test_a_page_says_which_store_is_away(
    core: Core, page: Page, login: Login, env: Callable[..., Settings]
) -> None:
    env(DATABASE_URL=f"postgresql://127.0.0.1:{free_port()}/none")
    tab = login()
    tab.goto(f"{page.url}/pipeline")
    expect(tab.locator("#alerts")).to_contain_text("Postgres does not answer")
    expect(tab.locator('[data-number="dead_letters"]')).to_have_text("—")
    expect(tab.locator("#places")).to_contain_text("queue webhooks")


def test_a_target_is_shown_as_it_goes_and_paused_by_whoever_may(
    core: Core, env: Callable[..., Settings], login: Login
) -> None:
    env(FLOWER_ROLES="ada:decide,grace:read", FORWARD_URL="https://bot.example", FORWARD_SECRET=SECRET)
    with flower_page() as page:
        tab = login()
        tab.goto(f"{page.url}/pipeline")
        row = tab.locator("[data-target=forward]")
        expect(row).to_contain_text("no forwarder posts to it")
        known = TargetHealth("open", 20, 18, 0, 0.25, 1.5, 0.0, "answered 500", 1)
        target_health.publish(core.redis, "forwarder@here/1", {"forward": known})
        for words in ("breaker open", "20", "18", "250 ms, 1,500 ms", "answered 500"):
            expect(row).to_contain_text(words)
        tab.get_by_role("button", name="Pause target forward").click()
        tab.keyboard.type("they move")
        tab.keyboard.press("Enter")
        expect(row).to_contain_text(re.compile("paused by ada, since .*: they move"))
        expect(tab.get_by_role("button", name="Resume target forward")).to_be_focused()
        looking = login(GRACE)
        looking.goto(f"{page.url}/pipeline")
        expect(looking.get_by_role("button", name="Resume target forward")).to_be_disabled()
        tab.keyboard.press("Enter")
        expect(row).to_contain_text("breaker open")
        with core.engine.connect() as connection:
            assert pauses.all_paused(connection) == []


def test_every_page_says_in_words_that_a_store_is_away(
    core: Core, page: Page, login: Login, env: Callable[..., Settings]
) -> None:
    env(DATABASE_URL=f"postgresql://127.0.0.1:{free_port()}/none")
    tab = login()
    for path in (
        "dead-letters",
        "conversations",
        "conversation/1",
        "conversation/1/erasure",
        "outbox",
        "replays",
    ):
        tab.goto(f"{page.url}/{path}")
        expect(tab.locator("main"), path).to_contain_text("Postgres does not answer")
        expect(tab.locator("main"), path).not_to_contain_text("Loading")


def test_a_person_takes_over_and_gives_back(core: Core, page: Page, worker: None, login: Login) -> None:
    core.ingest(text_body("before"))
    lane = core.event("before").lane
    tab = login()
    tab.goto(f"{page.url}/conversation/{lane}")
    expect(tab.locator("[data-event]")).to_contain_text("done")
    tab.get_by_role("button", name="Pause").click()
    tab.keyboard.type("a complaint")
    tab.get_by_label("For how many hours").fill("8")
    tab.get_by_role("dialog").get_by_role("button", name="Pause").click()
    expect(tab.locator("#paused")).to_contain_text(re.compile("Paused by ada, .* until .* UTC: a complaint"))
    core.ingest(text_body("first", "second"))
    expect(tab.locator("[data-event]")).to_have_count(3)
    expect(tab.locator("[data-event]", has_text="pending")).to_have_count(2)
    assert core.seen == ["before"]
    tab.get_by_role("button", name="Resume").click()
    expect(tab.locator("[data-event]", has_text="done")).to_have_count(3)
    assert core.seen == ["before", "first", "second"]
