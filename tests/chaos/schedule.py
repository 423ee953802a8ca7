"""Which fault hits what, and when: drawn from a seed, printed, and read back to be replayed. Pure: no I/O."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.chaos.bodies import CRM_LANE, MAIN_LANE, TARGET

FIRST_SECONDS = 4.0  # before the first fault: something should be under way
LAST_SECONDS = 3.0  # between the last fault and the end of the load
STEP_SECONDS = 1.0  # to the next look for one that can be
MARGIN_SECONDS = 3.0  # for a process to come back
DEPLOY_SECONDS = 45.0
STORES = ("valkey", "postgres")


class ScheduleError(ValueError):
    """A schedule or a list of faults cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault: the processes it may hit, and how long it lasts (seconds, from and to)."""

    what: str
    targets: tuple[str, ...]
    lasts: tuple[float, float] = (0.0, 0.0)
    takes_away: str | None = None  # what recovery needs and does not have meanwhile: a store, or beat
    sets_clock: bool = False  # Valkey's
    loses_commits: bool = False  # those that did not wait for Postgres's disk
    share: float | None = None  # of the run: once, in its middle


@dataclass(frozen=True, slots=True)
class Fault:
    """``at`` and ``seconds`` count from the start of the load."""

    at: float
    kind: str
    target: str
    seconds: float

    def __str__(self) -> str:
        return f"{self.at:8.2f} {self.kind:<20} {self.target:<10} {self.seconds:6.2f}"


@dataclass(slots=True)
class Happened:
    """What a fault really did: when (Unix time), and which pool processes it killed or stopped."""

    fault: Fault
    at: float
    pids: set[int] = field(default_factory=set)
    until: float | None = None  # when what it took away was given back


WEBS = ("web1", "web2")
INGESTS = ("ingest1", "ingest2")
WORKERS = ("worker1", "worker2", "worker3")
SENDERS = ("sender1", "sender2")
FORWARDERS = ("forwarder1", "forwarder2")
PROCESSES = (*INGESTS, *WORKERS, *SENDERS, *FORWARDERS, *WEBS, "beat")  # in the order of a release
ALL_PROCESSES = "all"  # one after the other
OTHER_RELEASE = "worker4"  # beside these, for a while
HANDLERS = "handlers"  # what all of them call
ALL_LANES = "all-lanes"  # what a replay may name, beside one lane name
NAMES = "names"  # of users, that turn out to be one
CLOCKS = ("valkey_ahead", "valkey_behind", "beat_ahead", "beat_behind")
MERGES = "overlapping_merges"


def kinds(lease_seconds: float) -> dict[str, Kind]:
    """Every kind of fault, for claims of the given lease."""
    past_lease = (lease_seconds * 1.1 + 1, lease_seconds * 1.3 + 2)
    return {
        "kill_web": Kind("SIGKILL of a web", WEBS),
        "kill_ingest": Kind("SIGKILL of an ingest with its pool", INGESTS),
        "kill_worker": Kind("SIGKILL of a worker with its pool", WORKERS),
        "kill_worker_main": Kind("SIGKILL of a worker's main process alone", WORKERS),
        "kill_ingest_child": Kind("SIGKILL of a pool process of an ingest", INGESTS),
        "kill_worker_child": Kind("SIGKILL of a pool process of a worker", WORKERS),
        "term_web": Kind("SIGTERM of a web", WEBS),
        "term_ingest": Kind("SIGTERM of an ingest", INGESTS),
        "term_worker": Kind("SIGTERM of a worker", WORKERS),
        "stop_web": Kind("SIGSTOP of a web, then SIGCONT", WEBS, (5, 25)),
        "stop_ingest": Kind("SIGSTOP of an ingest, then SIGCONT", INGESTS, (5, 25)),
        "stop_worker": Kind("SIGSTOP of a worker for longer than a lease, then SIGCONT", WORKERS, past_lease),
        "deploy_workers": Kind("SIGTERM of one worker after the other", ("workers",)),
        "release": Kind(
            "SIGTERM of every process in turn, beside a worker of another release",
            (ALL_PROCESSES,),
            share=0.1,
        ),
        "skew_web": Kind("a web whose clock is 5 s ahead", ("web2",), (20, 40)),
        "kill_sender": Kind("SIGKILL of a sender with its pool", SENDERS),
        "kill_sender_child": Kind("SIGKILL of a pool process of a sender", SENDERS),
        "term_sender": Kind("SIGTERM of a sender", SENDERS),
        "stop_sender": Kind("SIGSTOP of a sender, then SIGCONT", SENDERS, (5, 25)),
        "kill_forwarder": Kind("SIGKILL of a forwarder", FORWARDERS),
        "term_forwarder": Kind("SIGTERM of a forwarder", FORWARDERS),
        "stop_forwarder": Kind("SIGSTOP of a forwarder, then SIGCONT", FORWARDERS, (5, 25)),
        "target_away": Kind("a target reads no request, and closes", (TARGET,), share=0.2),
        "kill_beat": Kind("SIGKILL of beat", ("beat",), (2, 8), "beat"),
        "kill_valkey": Kind("SIGKILL of Valkey; it comes back with its AOF", ("valkey",), (1, 5), "valkey"),
        "stop_valkey": Kind("SIGSTOP of Valkey", ("valkey",), (20, 20), "valkey"),
        "flush_queues": Kind("every key but the journal's is deleted", ("valkey",)),
        "fill_disk": Kind("the AOF's disk is full, and Valkey ends", ("valkey",), (4, 8), "valkey"),
        "restart_postgres": Kind("Postgres is restarted", ("postgres",), (1, 3), "postgres"),
        "kill_postgres": Kind(
            "SIGKILL of Postgres with its backends", ("postgres",), (1, 3), "postgres", loses_commits=True
        ),
        "stop_postgres": Kind("SIGSTOP of Postgres", ("postgres",), (20, 20), "postgres"),
        # Grey: nothing dies
        "terminate_sessions": Kind("every session of the pipeline with Postgres is ended", ("postgres",)),
        "read_only": Kind("Postgres only reads", ("postgres",), (4, 10), "postgres"),
        "statement_timeout": Kind("statements of 20 ms are cancelled", ("postgres",), (4, 10), "postgres"),
        "hold_rows": Kind("a session idle in transaction holds rows", ("postgres",), (10, 20), "postgres"),
        "exhaust_connections": Kind("Postgres grants no session", ("postgres",), (4, 8), "postgres"),
        "failover": Kind(
            "clients are led to a standby, then to Postgres again", ("postgres",), (4, 10), "postgres"
        ),
        "terminate_handler": Kind("the session of a handler is ended under it", ("postgres",)),
        "terminate_ingest": Kind("the session of an ingest is ended while it stores", ("postgres",)),
        "fill_redis": Kind("Valkey has no memory left for writes", ("valkey",), (4, 8), "valkey"),
        "blackhole_redis": Kind(
            "the network between a process and Valkey swallows all",
            (*WEBS, *INGESTS, *WORKERS, *SENDERS, *FORWARDERS, "beat"),
            (0, 8),
        ),
        "blackhole_postgres": Kind(
            "the network between a process and Postgres swallows all",
            (*WEBS, *INGESTS, *WORKERS, *SENDERS, *FORWARDERS),
            (0, 8),
        ),
        "valkey_ahead": Kind("Valkey's clock is an hour ahead", ("valkey",), (5, 10), sets_clock=True),
        "valkey_behind": Kind("Valkey's clock is an hour behind", ("valkey",), (5, 10), sets_clock=True),
        "beat_ahead": Kind("beat's clock is an hour ahead", ("beat",), (5, 15)),
        "beat_behind": Kind("beat's clock is an hour behind", ("beat",), (5, 15)),
        "other_release": Kind("a worker with other handlers runs beside", (OTHER_RELEASE,), (10, 20)),
        "slow_downstream": Kind("handlers that were quick take a second each", (HANDLERS,), (5, 10)),
        "exit_downstream": Kind("a fifth of the handlers raises SystemExit", (HANDLERS,), (4, 8)),
        "replay": Kind("what was accepted lately is run again", (MAIN_LANE, CRM_LANE, ALL_LANES), (10, 30)),
        MERGES: Kind("three names of a user are linked at two webs at once", (NAMES,), (5, 5)),
    }


def chosen(known: Mapping[str, Kind], names: Iterable[str]) -> dict[str, Kind]:
    """The kinds of these names; all of them for none. ScheduleError names an unknown one."""
    wanted = list(names)
    unknown = sorted(set(wanted) - known.keys())
    if unknown:
        raise ScheduleError(f"no such fault: {', '.join(unknown)}; there are {', '.join(known)}")
    return {name: known[name] for name in wanted} if wanted else dict(known)


def draw(seed: int, seconds: float, every: float, known: Mapping[str, Kind]) -> list[Fault]:
    """Faults about ``every`` seconds apart, each kind as often as the others, within ``seconds`` of load.

    They overlap, but no two hit the same process, and one store is whole while the other is away. Those that have a
    share of the run are in its middle, once.
    """
    rng = Random(f"schedule {seed}")
    faults: list[Fault] = []
    deck: list[str] = []
    often = sorted(name for name, kind in known.items() if kind.share is None)
    at = FIRST_SECONDS
    while often and at < seconds - LAST_SECONDS:
        deck += rng.sample(often, len(often)) if len(deck) < len(often) else []
        candidates = (_candidate(rng, at, name, known[name]) for name in deck)
        fault = next((each for each in candidates if _fits(each, faults, seconds)), None)
        if fault is None:
            at += STEP_SECONDS
            continue
        deck.remove(fault.kind)
        faults.append(fault)
        at += rng.expovariate(1 / every)
    return sorted([*faults, *_once(seconds, known)], key=lambda fault: fault.at)


def _once(seconds: float, known: Mapping[str, Kind]) -> Iterator[Fault]:
    for name, kind in known.items():
        if kind.share is not None:
            lasts = seconds * kind.share
            yield Fault(round((seconds - lasts) / 2, 2), name, kind.targets[0], round(lasts, 2))


def _candidate(rng: Random, at: float, name: str, kind: Kind) -> Fault:
    return Fault(round(at, 2), name, rng.choice(kind.targets), round(rng.uniform(*kind.lasts), 2))


def _fits(fault: Fault, faults: Sequence[Fault], seconds: float) -> bool:
    """Whether it is over before the load is, and nothing that it hits is being hit."""
    busy = (other for other in faults if conflict(fault, other))
    return fault.at + _lasts(fault) <= seconds and all(
        other.at + _lasts(other) + MARGIN_SECONDS <= fault.at for other in busy
    )


def _lasts(fault: Fault) -> float:
    return DEPLOY_SECONDS if fault.kind == "deploy_workers" else fault.seconds


def conflict(fault: Fault, other: Fault) -> bool:
    """Whether both hit the same, so that one has to be over before the other begins."""
    return bool(_resources(fault.target, fault.kind) & _resources(other.target, other.kind))


def _resources(target: str, kind: str) -> set[str]:
    if kind == "deploy_workers":
        return set(WORKERS)
    if kind == "release":
        return {*PROCESSES, OTHER_RELEASE}
    if kind == "blackhole_redis" and target in WEBS:
        return {target, "stores"}  # it names deliveries by the clock that Valkey had
    return {"stores"} if target in STORES else {target}


def written(faults: Iterable[Fault]) -> str:
    """A schedule as text: when, what, whom, for how long (seconds)."""
    return "".join(f"{fault}\n" for fault in faults)


def read(schedule: str, known: Mapping[str, Kind]) -> list[Fault]:
    """A schedule from its text; lines that begin with ``#`` are for people. ScheduleError names a wrong line."""
    faults = []
    for line in schedule.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            at, kind, target, lasts = line.split()
            fault = Fault(float(at), kind, target, float(lasts))
        except ValueError as error:
            raise ScheduleError(f"not a fault: {line}") from error
        if kind not in known or target not in known[kind].targets:
            raise ScheduleError(f"no such fault here: {line}")
        faults.append(fault)
    return sorted(faults, key=lambda fault: fault.at)
