"""Every page of ours by the rules of axe, with something on it, in light and dark, wide and narrow."""

from datetime import UTC, datetime
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page as Tab
from playwright.sync_api import expect

from app import replays
from app.handlers import Handler, RetryPolicy, registry
from app.watch import TargetHealth, target_health
from app.watch.alerts import watch
from config.settings import Settings
from tests.browser.conftest import Login
from tests.browser.letters import dead
from tests.helpers import sample_data
from tests.helpers.core import Core, text_body
from tests.helpers.flower import Page
from tests.integration.flower.test_outbox import write

pytestmark = pytest.mark.core(messages="failing", max_attempts=1)

WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]}
# Each page, and what is on it once it is filled
PAGES = {
    "/dead-letters": "[data-letter]",
    "/pipeline": "#alerts .alert",
    "/conversations": "tr[data-conversation]",
    "/conversation/{lane}": "#chat li",
    "/conversation/{lane}#event-1": "[data-event]",
    "/conversation/{lane}/erasure": "#erase:not([disabled])",
    "/outbox": "[data-send]",
    "/replays": "[data-replay]",
}
# Pixels that a window, or a table's frame, has to be scrolled sideways
TOO_WIDE = """Math.max(...[document.documentElement, ...document.querySelectorAll("figure.table-responsive")]
  .map(each => each.scrollWidth - each.clientWidth))"""


def violations(tab: Tab) -> list[str]:
    """What axe finds in our part of a page: the rule, and where."""
    context: Any = ".nd-page"
    found = Axe().run(tab, context=context, options=RULES).response["violations"]
    return [f"{each['id']}: {node['target']} {node['any'][:1]}" for each in found for node in each["nodes"]]


def fill(core: Core, settings: Settings) -> None:
    """Have something on every page, beside dead letters."""
    write(core, 1)
    sample_data.samples(core.engine, datetime.now(UTC))
    watch(core.engine, core.redis, settings)
    replays.start(core.engine, replays.Choice(), "ada", "the CRM lost its disk", 1)
    health = TargetHealth("open", 1200, 1180, 0, 0.2, 14.9, 30.0, "answered 500 and said why at length", 1)
    target_health.publish(core.redis, "forwarder@here/1", {"crm": health})
    core.execute("INSERT INTO paused_targets (name, who, reason) VALUES ('archive', 'ada', 'they move')")


def test_no_page_shuts_anybody_out(core: Core, page: Page, login: Login, settings: Settings) -> None:
    (id_,) = dead(core, "fails")
    core.ingest(text_body("waits"))
    fill(core, settings)
    lane = core.event("fails").lane
    wrong: list[tuple[str, ...]] = []
    for scheme, viewport in (("light", WIDE), ("dark", PHONE)):
        tab = login(color_scheme=scheme, viewport=viewport, reduced_motion="reduce")
        for path, filled in PAGES.items():
            tab.goto(page.url + path.format(lane=lane))
            expect(tab.locator(filled).first).to_be_visible()
            wrong += [(path, scheme, each) for each in violations(tab)]
        tab.goto(f"{page.url}/dead-letters")
        tab.locator(f'[data-open="{id_}"]').click()
        expect(tab.locator(".nd-event section").first).to_be_visible()
        wrong += [("an opened line", scheme, each) for each in violations(tab)]
    assert not wrong, "\n".join(map(str, wrong))


def test_no_page_is_wider_than_its_window(
    core: Core, page: Page, login: Login, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead(core, "a_word_that_is_too_long_for_a_line_of_any_table")
    long = Handler(
        f"bots.{'orders_and_returns.' * 5}answer", lambda _event, _ctx: None, RetryPolicy(), "hold", None
    )
    monkeypatch.setattr(registry, "handlers", {("message", None, "main"): long})
    fill(core, settings)
    lane = core.rows("SELECT lane FROM events")[0].lane
    for viewport in (WIDE, PHONE):
        tab = login(viewport=viewport)
        for path, filled in PAGES.items():
            tab.goto(page.url + path.format(lane=lane))
            expect(tab.locator(filled).first).to_be_visible()
            assert tab.evaluate(TOO_WIDE) <= 1, (path, viewport)
