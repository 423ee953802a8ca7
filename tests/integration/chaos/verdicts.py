"""A small load for the pipeline in miniature, and the verdicts of the fault test on it."""

import time

from app.dev.judge import Facts, Verdict
from app.dev.judge import judge as judge_promises
from app.handlers import Context, Event
from tests.chaos import bodies, effects
from tests.chaos.bodies import Post
from tests.chaos.promises import PROMISES
from tests.helpers.factories import NOW

MEETING_SECONDS = 0.06


def load(events: int = 100) -> list[Post]:
    """A small load with everything in it but deaths of processes."""
    return bodies.plan(bodies.Options(seconds=10, rate=events / 10, seed=7, start=NOW, deadly=False))


def broken(verdicts: list[Verdict]) -> dict[str, int]:
    """Promises by their number, with the count of their violations."""
    return {verdict.promise.split()[0]: verdict.violations for verdict in verdicts if verdict.violations}


def judge(facts: Facts) -> list[Verdict]:
    return judge_promises(facts, PROMISES)


def patiently(event: Event, ctx: Context) -> None:
    """Long enough for two to meet."""
    time.sleep(MEETING_SECONDS)
    effects.message(event, ctx)
