"""A fault, its dead letters, and a person who mends them in Flower: the real processes and a real browser."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect
from sqlalchemy import text

from app.stores.connections import engine, redis
from config.celery import DEAD_LETTERS
from tests.browser.conftest import Login
from tests.helpers import factories as f
from tests.helpers.stack import Stack

FAILED, PICTURES = 1000, 40
A_BODY = 50  # messages
CONVERSATIONS = 25


def states(kind: str) -> dict[str, int]:
    with engine().connect() as connection:
        found = connection.execute(
            text("SELECT state, count(*) AS number FROM event_jobs WHERE type = :type GROUP BY 1"),
            {"type": kind},
        )
        return {row.state: row.number for row in found}


def post_in_bodies(stack: Stack, items: list[f.Json]) -> None:
    for start in range(0, len(items), A_BODY):
        assert stack.post(f.body(f.messages(*items[start : start + A_BODY]))).status_code == 200


@pytest.mark.timeout(300)
def test_a_thousand_dead_letters_are_retried_by_filter_and_the_rest_stays(
    start_stack: Callable[..., Stack], login: Login, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.touch()
    stack = start_stack(HANDLERS="tests.browser.handlers", BROKEN=str(broken))
    url = stack.start_flower("ada:ada-password")
    post_in_bodies(
        stack, [f.text_message(number=number, sender=number % CONVERSATIONS) for number in range(FAILED)]
    )
    post_in_bodies(
        stack,
        [f.message("image", number=f"i{number}", sender=number, image={}) for number in range(PICTURES)],
    )
    stack.wait_until(lambda: states("text") == {"dead": FAILED} and states("image") == {"dead": PICTURES})

    tab = login()
    tab.goto(f"{url}/dead-letters")
    expect(tab.locator("#total")).to_contain_text(f"{FAILED + PICTURES:,}")
    tab.locator("[data-open]").first.click()
    expect(tab.locator(".nd-event")).to_contain_text("Permanent")
    expect(tab.locator(".nd-event")).to_contain_text("Traceback")

    broken.unlink()
    tab.get_by_label("Handler", exact=True).select_option("tests.browser.handlers.answer")
    expect(tab.locator("#total")).to_contain_text(f"{FAILED:,} match")
    tab.get_by_role("button", name="Retry all that match").click()
    expect(tab.locator("#confirm-title")).to_have_text(f"Retry {FAILED:,} dead letters?")
    tab.locator("#confirm-yes").click()
    expect(tab.locator("#result")).to_contain_text(f"done {FAILED:,}", timeout=60_000)

    assert states("text") == {"done": FAILED}
    assert states("image") == {"dead": PICTURES}
    stack.wait_until(lambda: redis().llen(DEAD_LETTERS) == PICTURES)
    tab.goto(f"{url}/broker")
    expect(tab.locator("#dead_letters")).to_contain_text(str(PICTURES))

    tab.goto(f"{url}/tasks")
    ran = tab.locator("#tasks-table tbody tr", has_text="done: ").first
    ran.locator("a[href*='/task/']").first.click()
    tab.get_by_role("link", name=re.compile(r"event \d+")).first.click()
    expect(tab.locator("tr:target")).to_contain_text("done")
