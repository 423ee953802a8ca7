"""Pictures of our pages in Flower, with people and faults that do not exist.

python -m tests.browser.screenshots DIRECTORY
"""

import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser
from sqlalchemy import text

from app.connections import engine, redis
from app.dead_letters import reconcile
from app.heartbeats import beat, member
from app.migrate import migrate
from app.models import EventState
from tests import made_up, services
from tests.browser import chromium
from tests.flower import ADA, Page, flower_page

WIDE = {"width": 1400, "height": 900}
PHONE = {"width": 390, "height": 844}
DEAD = 40
WORKERS = {
    "ingest1@bot": ["webhooks", "maintenance"],
    "worker1@bot": ["conversations"],
    "worker2@bot": ["conversations"],
}
DRAWN_MILLISECONDS = 1500  # what the charts take to appear
SOMETHING_GOES_ON = (
    "UPDATE events SET accepted_at = clock_timestamp() - interval '9 s' WHERE id = ANY(:held)",
    """UPDATE events SET error = 'TimeoutError: the shop is busy', attempts = 2,
       due_at = clock_timestamp() + interval '40 s' WHERE id = ANY(:failing)""",
    "UPDATE events SET finished_at = clock_timestamp() WHERE state = 'done' AND id % 2 = 0",
    """UPDATE deliveries SET ingested_at = clock_timestamp() FROM events
       WHERE delivery_id = deliveries.id AND events.state = 'done' AND events.id % 2 = 0""",
)


def main(directory: Path) -> None:
    """Write dead-letters.png, pipeline.png and others into the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    with services.directory() as path, services.running_services(path) as running:
        os.environ |= {
            "NEVERDROP_ENV": "development",
            "REDIS_URL": running.redis_url,
            "DATABASE_URL": running.postgres_url,
        }
        migrate()
        fill()
        with flower_page() as page, chromium.browser() as browser:
            for scheme in ("light", "dark"):
                pictures(browser, page, scheme, directory)


def fill() -> None:
    """A bot in the middle of its day, some minutes after a fault."""
    now = datetime.now(UTC)
    lanes = made_up.conversations(engine())
    made_up.events(engine(), lanes, 400, EventState.DONE, now, first=1000)
    made_up.events(engine(), lanes, DEAD, now=now - timedelta(seconds=300))
    made_up.samples(engine(), now)
    held = made_up.events(engine(), lanes[:3], 8, EventState.PENDING, now, first=5000)
    with engine().begin() as connection:
        for statement in SOMETHING_GOES_ON:
            connection.execute(text(statement), {"held": held, "failing": held[:2]})
    reconcile(engine(), redis())


def pictures(browser: Browser, page: Page, scheme: str, directory: Path) -> None:
    suffix = "" if scheme == "light" else "-dark"
    for viewport, size in ((WIDE, ""), (PHONE, "-phone")):
        context = browser.new_context(
            http_credentials={"username": ADA[0], "password": ADA[1]},
            viewport=viewport,
            color_scheme=scheme,
            locale="en-GB",
            device_scale_factor=1,
        )
        tab = context.new_page()
        tab.goto(f"{page.url}/dead-letters?type=text")
        tab.locator("[data-letter]").first.wait_for()
        tab.screenshot(path=directory / f"dead-letters{size}{suffix}.png")
        tab.locator("[data-open]").first.click()
        tab.locator(".nd-timeline").wait_for()
        tab.screenshot(path=directory / f"dead-letter{size}{suffix}.png")
        for worker, queues in WORKERS.items():
            beat(redis(), member(worker, queues))
        tab.goto(f"{page.url}/pipeline")
        tab.locator("canvas").nth(3).wait_for()
        tab.locator("#held tr").first.wait_for()
        tab.wait_for_timeout(DRAWN_MILLISECONDS)
        tab.screenshot(path=directory / f"pipeline{size}{suffix}.png", full_page=True)
        tab.goto(f"{page.url}/conversation/1")
        tab.locator("[data-event]").first.wait_for()
        tab.screenshot(path=directory / f"conversation{size}{suffix}.png")
        context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
