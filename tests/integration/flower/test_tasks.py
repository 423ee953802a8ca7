"""Flower's page of a task says which jobs it ran, and leads to them."""

from typing import Any

import pytest
from celery.events.state import Task

from config.celery import ADVANCE, INGEST
from tests.helpers.core import Core, text_body
from tests.helpers.flower import Page

pytestmark = pytest.mark.core(messages="noted")


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> dict[str, Task]:
    """Tasks that workers have told Flower of."""
    found: dict[str, Task] = {}
    monkeypatch.setattr("flower.views.tasks.get_task_by_id", lambda _events, id_: found[id_])
    return found


def task(name: str, **fields: Any) -> Task:
    return Task(uuid="a-task", name=name, state="SUCCESS", args="(7,)", kwargs="{}", **fields)


def test_the_page_of_an_advance_names_the_events_that_it_ran(
    core: Core, page: Page, known: dict[str, Task]
) -> None:
    core.ingest(text_body("a"))
    job = core.event("a")
    known["a-task"] = task(ADVANCE, result=f"'done: {job.id}; failed: 99'")
    shown = page.get("/task/a-task").text
    assert f'<a href="/job/{job.id}">event {job.id}</a>' in shown
    assert "<dt>Failed</dt>" in shown
    led = page.get(f"/job/{job.id}")
    assert (led.status_code, led.headers["Location"]) == (302, f"/conversation/{job.lane}#event-{job.id}")


def test_what_another_task_returns_is_no_list_of_events(page: Page, known: dict[str, Task]) -> None:
    known["a-task"] = task(INGEST, result="'done: 17'")
    assert "/job/" not in page.get("/task/a-task").text


def test_an_attempt_that_failed_is_named_where_celery_has_it(page: Page, known: dict[str, Task]) -> None:
    traceback = "Retry: job 19: ValueError (failed: 19; done: 17, 18)"
    known["a-task"] = task(ADVANCE, exception="None", traceback=traceback)
    assert "/job/19" in page.get("/task/a-task").text


def test_an_event_that_is_gone_is_said(page: Page) -> None:
    answer = page.get("/job/999999")
    assert answer.status_code == 404
    assert "there is no event with this number" in answer.text
