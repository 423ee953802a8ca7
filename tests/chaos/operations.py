"""What people do to a pipeline beside live traffic: they have events run again.

Each is a generator as in ``faults``.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.dev.processes.children import Program
from tests.chaos.cluster import Cluster
from tests.chaos.schedule import ALL_LANES, Happened
from tests.chaos.steps import Steps, ended

UNTIL_SECONDS = 5  # before now: until then events are replayed
REPLAY_RATE = 50
REPLAY_PATIENCE_SECONDS = 60.0
NEVERDROP = (sys.executable, "-c", "from app.cli import main; main()")


def replay(cluster: Cluster, event: Happened) -> Steps:
    """Have what was accepted in the last seconds run again, in one lane name or in all; wait until it is made.

    Where a store goes away meanwhile the command fails, and the replay stays as it is.
    """
    until = datetime.now(UTC) - timedelta(seconds=UNTIL_SECONDS)
    since = until - timedelta(seconds=event.fault.seconds)
    lane = () if event.fault.target == ALL_LANES else ("--lane", event.fault.target)
    options = (
        *("--since", since.isoformat(), "--until", until.isoformat(), *lane),
        *("--rate", str(REPLAY_RATE), "--reason", "the fault test", "--json"),
    )
    name = f"replay-{event.fault.target}"
    cluster.supervisor.start(Program(name, (*NEVERDROP, "replay", *options)))
    cluster.disable_restart(name)
    running = cluster.running(name)
    yield ended(running, REPLAY_PATIENCE_SECONDS)
    running.send_all(9)


KINDS: dict[str, Callable[[Cluster, Happened], Steps]] = {"replay": replay}
