"""Python imports this first where it is on the path: let ``time.sleep`` work under libfaketime.

CPython sleeps until a moment of the monotonic clock (clock_nanosleep), which libfaketime takes for one of the other
clock: EINVAL.
"""

import select
import time
from typing import SupportsIndex


def _sleep(seconds: float | SupportsIndex) -> None:
    if (seconds := float(seconds)) < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], seconds)


time.sleep = _sleep
