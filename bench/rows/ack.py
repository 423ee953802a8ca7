"""How fast a webhook is acknowledged. Only the web and the stores run: what waits behind it is not the question."""

from functools import partial

from bench.measure import Figures, Ratio, Row
from bench.options import Options
from bench.subjects.catalog import (
    BARE,
    BARE_ALONE,
    BARE_SAME,
    CORES,
    LPUSH_SAME,
    NEVERDROP,
    PEERS,
    TUTORIAL,
    Subject,
)
from bench.subjects.stores import DURABLE, USUAL
from bench.subjects.turn import Turn
from bench.traffic import push, wrk
from bench.traffic.bodies import Traffic
from bench.traffic.load import prepared
from bench.traffic.sender import Order
from bench.traffic.tally import Tally

CONNECTIONS = 16
RATE = 500  # a second, open loop
TRAFFIC = Traffic("mix")
META = 4_000  # webhooks a second of a number at full throttle
BARES = (BARE, BARE_ALONE, BARE_SAME)
LPUSH = "LPUSH, one by one"


def rows(options: Options) -> list[Row]:
    cores = f"{NEVERDROP.name}, {CORES} webs"
    return [
        Row(
            "ack",
            f"webhooks acknowledged a second, {CONNECTIONS} connections, one web process each",
            {
                **{
                    subject.name: partial(_closed, options, subject)
                    for subject in (NEVERDROP, *PEERS, *BARES)
                },
                LPUSH: partial(_push, options, USUAL),
                f"{LPUSH}, appendfsync always": partial(_push, options, DURABLE),
            },
            (
                Ratio("req/s", NEVERDROP.name, TUTORIAL.name, at_least=5),
                *(Ratio("req/s", NEVERDROP.name, bare.name, at_least=0.6) for bare in BARES),
                *(Ratio("req/s", NEVERDROP.name, peer.name) for peer in PEERS[1:]),
            ),
        ),
        Row(
            "ack-cores",
            f"the same with {CORES} web processes and {CONNECTIONS} connections for each",
            {
                cores: partial(_closed, options, NEVERDROP, CORES),
                f"{BARE.name}, {CORES} webs": partial(_closed, options, BARE, CORES),
                "Meta's number at full throttle": lambda: {"req/s": META},
            },
            (Ratio("req/s", cores, "Meta's number at full throttle", at_least=1.2),),
        ),
        Row(
            "ack-latency",
            f"latency of the answer at {RATE} webhooks a second, open loop",
            {
                subject.name: partial(_open, options, subject)
                for subject in (NEVERDROP, TUTORIAL, *BARES, LPUSH_SAME)
            },
            (
                *(Ratio("p50 ms", NEVERDROP.name, bare.name, at_most=2) for bare in BARES),
                *(Ratio("p99 ms", NEVERDROP.name, bare.name, at_most=3) for bare in BARES),
                Ratio("p50 ms", NEVERDROP.name, LPUSH_SAME.name),
                *(Ratio("p50 ms", LPUSH_SAME.name, bare.name) for bare in BARES),
            ),
        ),
    ]


def _closed(options: Options, subject: Subject, webs: int = 1) -> Figures:
    with options.turn(subject, web_processes=webs, consumers=[]) as running:
        connections = CONNECTIONS * webs
        if options.wrk:
            return wrk.run(running.port, TRAFFIC, connections, options.seconds)
        order = Order(running.port, TRAFFIC, connections, seconds=options.seconds)
        return _measured(options, running, order)


def _open(options: Options, subject: Subject) -> Figures:
    with options.turn(subject, consumers=[]) as running:
        order = Order(running.port, TRAFFIC, CONNECTIONS, seconds=options.seconds * 2, rate=RATE)
        return _measured(options, running, order)


def _measured(options: Options, running: Turn, order: Order) -> Figures:
    before = running.cpu_seconds()
    with prepared(order, options.load_processes) as load:
        tally = load.run()
    after = running.cpu_seconds()
    return figures_of(tally) | {
        f"{name} CPU µs": (after[name] - before[name]) / tally.accepted * 1e6 for name in ("web", "valkey")
    }


def figures_of(tally: Tally) -> dict[str, float]:
    """What is told of every load; the last three are of the sender itself."""
    return {
        "req/s": tally.rate,
        "p50 ms": tally.p(50),
        "p99 ms": tally.p(99),
        "refused": tally.refused + tally.broken,
        "load CPU µs": tally.cpu_us,
        "load cores": tally.cpu_seconds / tally.seconds,
        "load lag p99 ms": tally.lags.percentile(99) * 1e3,
    }


def _push(options: Options, redis_options: dict[str, str]) -> Figures:
    with push.valkey_alone(options.data / "lpush", redis_options) as url:
        return push.run(url, CONNECTIONS, options.seconds)
