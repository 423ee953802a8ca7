"""Make all jobs of a replay, no faster than they are done."""

import time
from collections.abc import Callable, Sequence

from redis import Redis
from sqlalchemy import Engine

from app.handlers import Registry
from app.replays.replay import Replay, finish, make_jobs, outstanding, stay
from app.stores import chunks
from config.settings import settings

EVENTS_A_PART = 50
MAX_OUTSTANDING = 200  # unfinished jobs of one replay: more would only wait, before what is live
LOOK_SECONDS = 0.05
STAY_SECONDS = 10.0  # after so long a wait a replay says that it goes on


def run(
    engine: Engine,
    redis: "Redis",
    registry: Registry,
    replay: Replay,
    ids: Sequence[int],
    rate: float | None = None,
    advanced: Callable[[int], object] = lambda _: None,
) -> tuple[int, bool]:
    """Make the jobs of events, part by part; return how many, and whether the replay went to its end.

    ``rate``: events a second at most. ``advanced`` is called with the number of events of each part. Dying in between
    leaves the rest without jobs: the replay is shown as one that is not continued.
    """
    jobs, events, began = 0, 0, time.monotonic()
    most = MAX_OUTSTANDING * settings().max_replays
    for part in chunks(ids, EVENTS_A_PART if rate is None else max(1, min(EVENTS_A_PART, int(rate)))):
        _wait(engine, replay, began + events / rate if rate else began, most)
        made = make_jobs(engine, redis, registry, replay, part)
        if made is None:
            return jobs, False
        jobs += made
        events += len(part)
        advanced(len(part))
    finish(engine, replay)
    return jobs, True


def _wait(engine: Engine, replay: Replay, go_on_at: float, most: int) -> None:
    """Wait for the rate, and until few jobs of this replay and of all of them are left, or somebody stops it."""
    said_at = time.monotonic()
    while time.monotonic() < go_on_at or _crowded(engine, replay, most):
        if time.monotonic() - said_at > STAY_SECONDS:
            said_at = time.monotonic()
            if not stay(engine, replay):
                return
        time.sleep(LOOK_SECONDS)


def _crowded(engine: Engine, replay: Replay, most: int) -> bool:
    own, of_all = outstanding(engine, replay)
    return own > MAX_OUTSTANDING or of_all > most
