"""A headless Chromium for the tests of what people see; users who are logged in; and a worker that runs beside them.

Without a Chromium the tests are skipped and say so; in CI they fail.
"""

import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect
from playwright.sync_api import Page as Tab

from tests.browser import chromium
from tests.helpers.core import Core
from tests.helpers.flower import ADA, Page, flower_page

PATIENCE_MS = 30_000  # for what the page is to show, on a busy machine
POLL_SECONDS = 0.05

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if chromium.path() is None:
        if os.environ.get("CI") == "true":
            pytest.fail(chromium.REMEDY)
        pytest.skip(chromium.REMEDY)
    with chromium.browser() as opened:
        yield opened


Login = Callable[..., Tab]


@pytest.fixture
def login(browser: Browser) -> Iterator[Login]:
    """A tab of a user who is logged in: ``login(("ada", "ada-password"), color_scheme="dark")``.

    What the page asks of other servers, and what goes wrong in its scripts, fails the test.
    """
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def open_tab(user: tuple[str, str] = ADA, **options: Any) -> Tab:
        credentials = {"username": user[0], "password": user[1]}
        context = browser.new_context(http_credentials=credentials, **options)  # type: ignore[arg-type]
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        tab = context.new_page()
        tab.on("pageerror", lambda error: wrong.append(f"script: {error}"))
        tab.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
        tab.on("request", lambda request: _local(request.url) or wrong.append(f"request: {request.url}"))
        tab.on("console", lambda line: wrong.append(line.text) if "Security Policy" in line.text else None)
        return tab

    yield open_tab
    for context in contexts:
        context.close()
    assert wrong == []


def _local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1:", "data:", "blob:"))


@pytest.fixture
def page(core: Core) -> Iterator[Page]:
    with flower_page() as opened:
        yield opened


@pytest.fixture
def worker(core: Core) -> Iterator[None]:
    """Runs lanes as they are woken."""
    stopped = threading.Event()

    def work() -> None:
        while not stopped.wait(POLL_SECONDS):
            core.run()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    stopped.set()
    thread.join()
