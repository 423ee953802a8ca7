"""How fast events are done, and how soon: by what is in each subject's tables, not by what its queue says."""

import random
import time
from functools import partial
from itertools import islice

from bench.measure import Figures, Ratio, Row
from bench.options import Options
from bench.subjects.catalog import (
    DRAMATIQ,
    NEVERDROP,
    NEVERDROP_GROUPED,
    NEVERDROP_IDLE,
    NEVERDROP_IDLE_GROUPED,
    NEVERDROP_TWO_LANES,
    PEERS,
    PYWA,
    TUTORIAL,
    TUTORIAL_GRANIAN,
    Subject,
)
from bench.subjects.stores import until
from bench.subjects.turn import Turn
from bench.traffic.bodies import Kind, Traffic, requests
from bench.traffic.load import prepared
from bench.traffic.sender import Connection, Order
from bench.traffic.tally import Histogram

CONNECTIONS = 16
QUEUED = tuple(peer for peer in PEERS if peer not in (PYWA, TUTORIAL_GRANIAN))
MAX_PAUSE_SECONDS = 0.3  # between two posts to an idle pipeline
GOAL = "goal"
POST_SECONDS = 10
LAST_START = "SELECT max(started_at) FROM bench_rows"


def rows(options: Options) -> list[Row]:
    return [
        _row(options, "messages", "messages with a handler that writes a row", 1.5),
        _row(options, "mix", "Meta's mix, three statuses to a message", 4),
        _own_ways(options),
        Row(
            "lanes",
            f"messages with a handler in each of two lanes, against one lane: {options.drain:,} of them",
            {
                subject.name: partial(_both, options, subject, "messages")
                for subject in (NEVERDROP, NEVERDROP_TWO_LANES)
            },
            (
                Ratio("drained/s", NEVERDROP_TWO_LANES.name, NEVERDROP.name, at_least=0.6),
                Ratio("through/s", NEVERDROP_TWO_LANES.name, NEVERDROP.name),
            ),
        ),
        Row(
            "start",
            "from POST to the start of the handler, idle",
            {
                **{subject.name: partial(_start, options, subject) for subject in (NEVERDROP, TUTORIAL)},
                GOAL: lambda: {"p50 ms": 50, "p99 ms": 150},
            },
            (
                Ratio("p50 ms", NEVERDROP.name, GOAL, at_most=1),
                Ratio("p99 ms", NEVERDROP.name, GOAL, at_most=1),
            ),
        ),
    ]


def _row(options: Options, kind: Kind, title: str, goal: float) -> Row:
    cases = {subject.name: partial(_both, options, subject, kind) for subject in (NEVERDROP, *QUEUED)}
    return Row(
        f"pipeline-{kind}",
        f"{title}: events done a second, {options.drain:,} of them",
        {**cases, PYWA.name: partial(_through_only, options, kind)},
        (
            Ratio("drained/s", NEVERDROP.name, TUTORIAL.name, at_least=goal),
            Ratio("through/s", NEVERDROP.name, TUTORIAL.name, at_least=goal),
            *(Ratio("through/s", NEVERDROP.name, peer.name) for peer in (*QUEUED[1:], PYWA)),
        ),
    )


def _own_ways(options: Options) -> Row:
    """Neverdrop's handlers that share a transaction, and those that do nothing."""
    own = (NEVERDROP, NEVERDROP_GROUPED, NEVERDROP_IDLE, NEVERDROP_IDLE_GROUPED)
    cases = {subject.name: partial(_both, options, subject, "messages") for subject in (*own, DRAMATIQ)}
    return Row(
        "grouped",
        f"messages with grouped handlers, and with handlers that do nothing: {options.drain:,} of them",
        cases,
        (
            Ratio("drained/s", NEVERDROP_GROUPED.name, DRAMATIQ.name, at_least=2.2),
            Ratio("drained/s", NEVERDROP_GROUPED.name, NEVERDROP.name),
            Ratio("drained/s", NEVERDROP_IDLE_GROUPED.name, NEVERDROP_IDLE.name),
        ),
    )


def _both(options: Options, subject: Subject, kind: Kind) -> Figures:
    """``drained``: they waited, and only the consumers work. ``through``: posted and done at the same time."""
    with options.turn(subject) as running:
        drained = drain(running, running.traffic(options.drain, kind), options.drain)
        return {"drained/s": drained, "through/s": through(running, kind, options.drain)}


def _through_only(options: Options, kind: Kind) -> Figures:
    with options.turn(PYWA) as running:
        return {"through/s": through(running, kind, options.drain)}


def drain(running: Turn, traffic: Traffic, count: int) -> float:
    """Events a second, from the moment at which the consumers may go on until the last event is done."""
    already = running.done()
    running.freeze()
    running.post(traffic, count)
    began = time.monotonic()
    running.thaw()
    progress = running.until_done(already + count)
    return count / (progress[-1][0] - began)


def through(running: Turn, kind: Kind, count: int) -> float:
    """Events a second, from the first POST until the last event is done."""
    already, traffic = running.done(), running.traffic(count, kind)
    with prepared(Order(running.port, traffic, CONNECTIONS, count=count)) as load:
        began = time.monotonic()
        load.begin()
        load.result()
    progress = running.until_done(already + count)
    return count / (progress[-1][0] - began)


def _start(options: Options, subject: Subject) -> Figures:
    """One message after the other, each sent when the last was handled and some time has passed."""
    pauses, waits = random.Random(1), []
    with options.turn(subject) as running:
        messages = requests(running.traffic(options.idle_posts))
        connection = Connection(running.port)
        for message in islice(messages, options.idle_posts):
            time.sleep(pauses.uniform(0, MAX_PAUSE_SECONDS))
            already, sent_at = running.done(), time.time()
            connection.send(message, sent_at)
            until(connection.receive, POST_SECONDS, "an answer")
            running.until_done(already + 1)
            waits.append(running.stores.query(LAST_START) - sent_at)
    histogram = Histogram.of(waits)
    return {"p50 ms": histogram.percentile(50) * 1e3, "p99 ms": histogram.percentile(99) * 1e3}
