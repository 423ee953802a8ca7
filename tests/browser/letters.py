"""What the browser's tests of dead letters share."""

import time
from typing import Any

from playwright.sync_api import Page as Tab

from tests.helpers.core import WAIT_SECONDS, Core, text_body


def dead(core: Core, *words: str, **more: Any) -> list[int]:
    core.broken.update(words)
    core.ingest(text_body(*words, **more))
    gives_up_at = time.monotonic() + WAIT_SECONDS
    while any(core.event(each).state != "dead" for each in words):  # the worker beside us may run them
        assert time.monotonic() < gives_up_at
        core.run()
    return [int(core.event(each).id) for each in words]


def line(tab: Tab, id_: int) -> Any:
    return tab.locator(f'[data-letter="{id_}"]')
