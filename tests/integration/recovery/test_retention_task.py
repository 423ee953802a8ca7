"""The task that deletes what is older than the setting says."""

import importlib
import time
from collections.abc import Callable
from uuid import uuid4

import pytest

from app.recovery import retention
from app.recovery.retention import cutoff
from app.stores.connections import engine as open_engine
from app.stores.models import JobState
from config.settings import Settings
from tests.helpers.core import WAIT_SECONDS, Core
from tests.helpers.rows import add_events
from tests.integration.recovery.retention import DAY, DAYS, OLD

pytestmark = pytest.mark.core(messages="failing", max_attempts=1)


# The sweep


@pytest.fixture
def task(core: Core) -> Callable[[], None]:
    found: Callable[[], None] = importlib.import_module("tasks.maintenance").purge
    return found


def test_the_task_deletes_what_the_setting_says(
    core: Core, task: Callable[[], None], env: Callable[..., Settings]
) -> None:
    env(RETENTION_DAYS=str(DAYS))
    importlib.import_module("tasks.maintenance").settings.cache_clear()
    add_events(core.engine, 2, state=JobState.DONE, finished_at=OLD, delivery_id=uuid4())
    task()
    assert core.states() == {}


def test_the_task_deletes_nothing_without_the_setting(core: Core, task: Callable[[], None]) -> None:
    add_events(core.engine, state=JobState.DONE, finished_at=OLD)
    task()
    assert core.states() == {"done": 1}


def test_a_sweep_stops_when_its_time_is_used_up(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "AT_ONCE", 1)
    add_events(core.engine, 3, state=JobState.DONE, finished_at=OLD)
    assert retention.sweep(open_engine(), core.redis, DAYS, budget_seconds=0).events == 1
    assert retention.sweep(open_engine(), core.redis, DAYS, budget_seconds=WAIT_SECONDS).events == 2


def test_one_clock_that_is_ahead_deletes_nothing_too_early(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    behind = time.time() - 2 * DAY
    monkeypatch.setattr(retention.time, "time", lambda: behind)
    assert cutoff(core.engine, core.redis, DAYS).timestamp() == pytest.approx(behind - DAYS * DAY, abs=1)
