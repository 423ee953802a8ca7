"""Half a deploy, as the Pipeline page shows it: real processes of two releases, with other handlers."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from app.watch import reporting
from tests.browser.conftest import Login
from tests.helpers.stack import Stack

OLD = "0.0.1"
ASKED_AGAIN_MS = 60_000  # the page asks every 15 s


def environment_of_release(directory: Path, release: str) -> dict[str, str]:
    """Return what makes a process take itself for another release: its metadata come first on the path."""
    metadata = directory / f"neverdrop-{release}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: neverdrop\nVersion: {release}\n", encoding="utf-8")
    return {"PYTHONPATH": os.pathsep.join([str(directory), os.environ.get("PYTHONPATH", "")]).rstrip(":")}


@pytest.mark.timeout(300)
def test_half_a_deploy_is_seen_and_its_end_too(
    start_stack: Callable[..., Stack], login: Login, tmp_path: Path
) -> None:
    old = {"worker2": environment_of_release(tmp_path, OLD) | {"HANDLERS": "app.handlers.echo"}}
    stack = start_stack(
        workers=2,
        environment=lambda name: old.get(name, {}),
        HANDLERS="tests.browser.handlers",
        BROKEN="/none",
    )
    url = stack.start_flower("ada:ada-password")
    tab = login()
    tab.goto(f"{url}/pipeline")

    new, left = (tab.locator(f'#processes [data-process^="{name}@"]') for name in ("worker1", "worker2"))
    expect(left).to_contain_text(OLD)
    expect(new).to_contain_text(reporting.release())
    expect(left).to_contain_text("without tests.browser.handlers.answer, tests.browser.handlers.store")
    new.locator("summary").click()
    expect(new.get_by_text("tests.browser.handlers.store", exact=True)).to_be_visible()
    for kind in ("ingest1", "web", "beat"):
        expect(tab.locator(f'#processes [data-process^="{kind}@"]')).to_contain_text(reporting.release())
    warnings = tab.locator("#differences [role=alert]")
    expect(warnings).to_have_count(2)
    expect(warnings.first).to_contain_text(f"several releases run (this Flower is {reporting.release()})")
    expect(warnings.last).to_contain_text("not every ingest and worker has the same handlers")

    old.clear()
    stack.restart("worker2")
    expect(left).to_contain_text(reporting.release(), timeout=ASKED_AGAIN_MS)
    expect(warnings).to_have_count(0)


@pytest.mark.timeout(300)
def test_a_process_that_ended_is_no_longer_shown(start_stack: Callable[..., Stack], login: Login) -> None:
    stack = start_stack(workers=2, HANDLERS="app.handlers.echo")
    url = stack.start_flower("ada:ada-password")
    tab = login()
    tab.goto(f"{url}/pipeline")
    rows = tab.locator('#processes [data-process^="worker"]')
    expect(rows).to_have_count(2)
    stack.stop("worker2")
    expect(rows).to_have_count(1)
