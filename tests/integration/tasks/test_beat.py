"""Beat publishes by a clock that nobody can set."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.dev.stack import programs
from app.stores.connections import redis
from config.celery import MAINTENANCE, SCHEDULE
from config.settings import Settings
from tests.chaos import stepped_clock
from tests.chaos.stepped_clock import SteppedClock
from tests.helpers.waiting import until

HERE = Path(__file__).parents[3]
HOUR_SECONDS = 3600
SOON_SECONDS = 60

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


def test_sweeps_go_on_when_the_clock_is_set_and_when_it_is_set_right(clock: SteppedClock) -> None:
    for seconds in (HOUR_SECONDS, 0, -HOUR_SECONDS):
        clock.set(seconds)
        redis().delete(MAINTENANCE)
        until(lambda: int(redis().llen(MAINTENANCE)) > len(SCHEDULE), SOON_SECONDS)  # type: ignore[arg-type]
