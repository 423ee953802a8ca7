"""Debian's Chromium, driven by Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

# Root may not use the sandbox, and a container's /dev/shm is small
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
NAMES = ("chromium", "chromium-browser", "google-chrome")
REMEDY = "no Chromium on the PATH: apt-get install chromium, or set CHROMIUM to one"


def path() -> str | None:
    """Where one is; Playwright brings none of its own."""
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser() -> Iterator[Browser]:
    """A headless one; RuntimeError says what to do where there is none."""
    found = path()
    if found is None:
        raise RuntimeError(REMEDY)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        try:
            yield opened
        finally:
            opened.close()
