"""Beat publishes by a clock that nobody can set."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.dev.stack import programs
from app.stores.connections import redis
from config.celery import MAINTENANCE
from config.settings import Settings
from tests.chaos import stepped_clock
from tests.chaos.stepped_clock import SteppedClock
from tests.helpers.waiting import until

HERE = Path(__file__).parents[3]
SOON_SECONDS = 30  # far less than the clock is off

pytestmark = pytest.mark.skipif(
    bool(stepped_clock.unavailable()), reason="no clock of one process can be set here"
)


@pytest.fixture
def clock(settings: Settings, tmp_path: Path) -> Iterator[SteppedClock]:
    """That of a beat that runs."""
    clock = SteppedClock(tmp_path)
    command = programs.beat().argv
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=HERE, env={**os.environ, **clock.environment}, stderr=log, stdout=log
        )
        try:
            until(lambda: redis().llen(MAINTENANCE))
            yield clock
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("ahead_seconds", [3600, -3600])
def test_sweeps_go_on_when_the_clock_is_set_and_when_it_is_set_right(
    clock: SteppedClock, ahead_seconds: int
) -> None:
    for seconds in (ahead_seconds, 0):
        clock.set(seconds)
        redis().delete(MAINTENANCE)
        # More than what was due before the step
        until(lambda: int(redis().llen(MAINTENANCE)) > 8, SOON_SECONDS)  # type: ignore[arg-type]
