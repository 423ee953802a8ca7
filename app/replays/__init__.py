"""Let a person have events run again: new jobs for events that are done, or that no handler took.

Promises: who had which events run again, when and why is kept; a replay can be stopped, and what has not begun is taken
back; no more than MAX_REPLAYS are made at once, and few jobs of all of them wait at a time; an event that waits or is
dead in a lane gets no second job there.
Relies on: the process that replays, which makes the jobs little by little, so that live traffic is not held up.
Cannot see: whether a handler may run twice for an event; ``ctx.replayed`` tells it.
"""

from app.replays.choice import Choice, Pair, chosen, pairs
from app.replays.counts import ReplayCounts, count
from app.replays.replay import Replay, TooManyReplays, make_jobs, outstanding, start, stop
from app.replays.running import run

__all__ = [
    "Choice",
    "Pair",
    "Replay",
    "ReplayCounts",
    "TooManyReplays",
    "chosen",
    "count",
    "make_jobs",
    "outstanding",
    "pairs",
    "run",
    "start",
    "stop",
]
