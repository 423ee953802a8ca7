"""Pictures of our pages in Flower, with people and faults that do not exist.

python -m tests.browser.screenshots DIRECTORY
"""

import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab
from sqlalchemy import text

from app.dead_letters import reconcile
from app.stores.connections import engine, redis
from app.stores.migrate import migrate
from app.stores.models import JobState
from app.watch.heartbeats import beat, member
from tests.browser import chromium
from tests.helpers import sample_data, services
from tests.helpers.cluster import running_services
from tests.helpers.flower import ADA, Page, flower_page

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
    """UPDATE events SET accepted_at = waits.since, occurred_at = waits.since
       FROM (SELECT id, clock_timestamp() - make_interval(secs => 9 + 5 * (:last - id)) AS since FROM events) AS waits
       WHERE waits.id = events.id AND events.id = ANY(:held)""",
    """UPDATE jobs SET since = e.accepted_at, occurred_at = e.occurred_at FROM event_jobs e
       WHERE e.id = jobs.event_id AND e.id = ANY(:held)""",
    """UPDATE jobs SET error = 'TimeoutError: the shop is busy', attempts = 2,
       due_at = clock_timestamp() + interval '40 s' WHERE id = ANY(:failing)""",
    "UPDATE outcomes SET finished_at = clock_timestamp() WHERE state = 'done' AND id % 2 = 0",
    """UPDATE deliveries SET ingested_at = clock_timestamp() FROM event_jobs e
       WHERE e.delivery_id = deliveries.id AND e.state = 'done' AND e.id % 2 = 0""",
)


def main(directory: Path) -> None:
    """Write each page, wide and as on a phone, in light and in dark."""
    directory.mkdir(parents=True, exist_ok=True)
    with services.directory() as path, running_services(path) as running:
        os.environ |= {
            "NEVERDROP_ENV": "development",
            "REDIS_URL": running.redis_url,
            "DATABASE_URL": running.postgres_url,
        }
        migrate()
        fill()
        with flower_page() as page, chromium.browser() as browser:
            take(browser, page, directory)


def fill() -> None:
    """A bot in the middle of its day, some minutes after a fault."""
    now = datetime.now(UTC)
    lanes = sample_data.conversations(engine())
    sample_data.events(engine(), lanes, 400, JobState.DONE, now, first=1000)
    sample_data.events(engine(), lanes, DEAD, now=now - timedelta(seconds=300))
    sample_data.samples(engine(), now)
    held = sample_data.events(engine(), lanes[:3], 8, JobState.PENDING, now, first=5000)
    with engine().begin() as connection:
        for statement in SOMETHING_GOES_ON:
            connection.execute(text(statement), {"held": held, "failing": held[:2], "last": held[-1]})
    reconcile(engine(), redis())


def dead_letters(tab: Tab, url: str) -> None:
    tab.goto(f"{url}/dead-letters")
    tab.locator("[data-letter]").first.wait_for()


def dead_letter(tab: Tab, url: str) -> None:
    dead_letters(tab, url)
    tab.locator("[data-open]").first.click()
    tab.locator(".nd-timeline").wait_for()


def pipeline(tab: Tab, url: str) -> None:
    for worker, queues in WORKERS.items():
        beat(redis(), member(worker, queues))
    tab.goto(f"{url}/pipeline")
    tab.locator("canvas").nth(3).wait_for()
    tab.locator("#held a").first.wait_for()
    tab.wait_for_timeout(DRAWN_MILLISECONDS)


def conversation(tab: Tab, url: str) -> None:
    tab.goto(f"{url}/conversation/1#event-1")
    tab.locator("#waits a").click()


PICTURES: tuple[tuple[str, Callable[[Tab, str], None], str, dict[str, int]], ...] = (
    ("dead-letters", dead_letters, "light", WIDE),
    ("dead-letter", dead_letter, "light", WIDE),
    ("pipeline", pipeline, "light", WIDE),
    ("conversation", conversation, "light", WIDE),
    ("dead-letters-dark", dead_letters, "dark", WIDE),
    ("pipeline-dark", pipeline, "dark", WIDE),
    ("dead-letters-phone", dead_letters, "light", PHONE),
    ("pipeline-phone", pipeline, "dark", PHONE),
)


def take(browser: Browser, page: Page, directory: Path) -> None:
    for name, show, scheme, viewport in PICTURES:
        context = browser.new_context(
            http_credentials={"username": ADA[0], "password": ADA[1]},
            viewport=viewport,  # type: ignore[arg-type]
            color_scheme=scheme,  # type: ignore[arg-type]
            reduced_motion="reduce",  # what scrolls has arrived when the picture is taken
            locale="en-GB",
        )
        tab = context.new_page()
        show(tab, page.url)
        tab.screenshot(path=directory / f"{name}.png", full_page="pipeline" in name)
        context.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
