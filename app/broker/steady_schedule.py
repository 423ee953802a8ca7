"""When beat starts a task: every so many seconds, by a clock that nobody can set.

Celery's own schedule goes by the wall clock. When that is set back, beat starts nothing until it has caught up.
"""

import time
from datetime import UTC, datetime, timedelta

from celery.schedules import schedule

_BEGAN = datetime.now(UTC) - timedelta(seconds=time.monotonic())


def every(seconds: float) -> schedule:
    """Return a schedule of Celery's for a task that is to run every so many seconds."""
    return schedule(timedelta(seconds=seconds), nowfun=_now)


def _now() -> datetime:
    return _BEGAN + timedelta(seconds=time.monotonic())
