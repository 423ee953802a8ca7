"""Whether what waits makes the work slower: a deep backlog, one hot conversation, and more workers."""

import time
from functools import partial

from bench.measure import Figures, Ratio, Row
from bench.options import Options
from bench.rows.pipeline import drain
from bench.subjects.catalog import NEVERDROP, neverdrop_consumers
from bench.subjects.stores import until
from bench.subjects.turn import Turn
from bench.traffic.bodies import CONVERSATIONS

INGEST, WORKER, BEAT = "ingest1", "worker1", "beat"
WAIT_SECONDS = "0.05"  # of a handler
MANY_WORKERS = 4
INGEST_SECONDS = 1_800


def rows(options: Options) -> list[Row]:
    deep, shallow = f"{options.deep:,} waiting", f"{options.shallow:,} waiting"
    hot, spread = (
        f"{options.hot:,} events of one conversation",
        f"{options.hot:,} events of {CONVERSATIONS:,}",
    )
    workers = {number: f"{number} worker{'s' * (number > 1)}" for number in (1, MANY_WORKERS)}
    return [
        Row(
            "backlog",
            "events done a second, by the backlog",
            {
                shallow: partial(_depth, options, options.shallow),
                deep: partial(_depth, options, options.deep),
            },
            (
                Ratio("done/s", deep, shallow, at_least=0.9),
                Ratio("ingested/s", deep, shallow, at_least=0.9),
            ),
        ),
        Row(
            "hot",
            "one conversation against spread traffic",
            {spread: partial(_hot, options, CONVERSATIONS), hot: partial(_hot, options, 1)},
            (
                Ratio("done/s", hot, spread),
                Ratio("last quarter/s", hot, hot, base_figure="first quarter/s", at_least=0.8),
            ),
        ),
        Row(
            "workers",
            "handlers that wait 50 ms, one at a time in each worker",
            {name: partial(_workers, options, number) for number, name in workers.items()},
            (Ratio("done/s", workers[MANY_WORKERS], workers[1], at_least=3.6),),
        ),
    ]


def _depth(options: Options, waiting: int) -> Figures:
    """A backlog that is worked off sooner than the time is filled up again."""
    window = options.seconds * 4
    done = ingested = 0.0
    working = ingesting = 0.0
    with options.turn(NEVERDROP) as running:
        while working < window:
            ingesting += _ingest(running, waiting, CONVERSATIONS)
            ingested += waiting
            progress = _work(running, waiting, window)
            working += progress[-1][0] - progress[0][0]
            done += progress[-1][1] - progress[0][1]
            if progress[-1][1] - progress[0][1] < waiting:
                break
    return {"done/s": done / working, "ingested/s": ingested / ingesting}


def _ingest(running: Turn, count: int, conversations: int) -> float:
    """Fill the lanes while the workers stand still; the seconds that ingest took."""
    running.freeze()
    running.post(running.traffic(count, conversations=conversations), count)
    began = time.monotonic()
    running.thaw(INGEST)
    until(lambda: not running.stores.redis.hlen("journal"), INGEST_SECONDS, "ingest")
    return time.monotonic() - began


def _work(running: Turn, count: int, seconds: float) -> list[tuple[float, int]]:
    """Let the workers go on, for so long or until all is done; what was done when."""
    already = running.done()
    running.thaw(WORKER, BEAT)
    return [(at, done - already) for at, done in running.progress(already + count, seconds)]


def _hot(options: Options, conversations: int) -> Figures:
    with options.turn(NEVERDROP) as running:
        _ingest(running, options.hot, conversations)
        progress = _work(running, options.hot, INGEST_SECONDS)
    quarter = options.hot / 4
    return {
        "done/s": progress[-1][1] / (progress[-1][0] - progress[0][0]),
        "first quarter/s": _rate(progress, 0, quarter),
        "last quarter/s": _rate(progress, options.hot - quarter, options.hot),
    }


def _rate(progress: list[tuple[float, int]], low: float, high: float) -> float:
    """Events a second between two counts."""
    began = next(sample for sample in progress if sample[1] >= low)
    ended = next(sample for sample in progress if sample[1] >= high)
    return (ended[1] - began[1]) / max(ended[0] - began[0], 0.1)


def _workers(options: Options, number: int) -> Figures:
    consumers = neverdrop_consumers(workers=number, concurrency=1)
    waits = {"BENCH_HANDLER_SECONDS": WAIT_SECONDS}
    with options.turn(NEVERDROP, consumers=consumers, environment=waits) as running:
        return {"done/s": drain(running, running.traffic(options.waiting), options.waiting)}
