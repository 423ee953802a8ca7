"""Examine who is at work: alerts that are raised, queues without consumers, releases and handlers that differ."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError as BrokerError
from redis import Redis
from redis.exceptions import RedisError

from app.doctor.finding import Finding, Level
from app.doctor.runbook import ALERTS
from app.watch import REMEDIES, PartialBacklog, RedisBacklog, releases, reporting
from config.celery import CONVERSATIONS, DEAD_LETTERS, WEBHOOKS, celery_config
from config.settings import Settings

ABOUT = "neverdrop_about"  # the command that workers answer, see ``tasks.about``
ANSWER_SECONDS = 2.0
WITHOUT = {  # queue → the alert's name, and what nobody does
    WEBHOOKS: ("no_ingest", "nobody splits deliveries: what Meta was answered for waits in the journal"),
    CONVERSATIONS: ("no_worker", "nobody runs handlers: no message is answered"),
    "maintenance": (
        "no_ingest",
        "nobody sweeps: what was lost is not found, failed attempts are not repeated",
    ),
    "outbox": ("no_sender", "nobody sends: replies wait"),
}


@dataclass(frozen=True, slots=True)
class Worker:
    """What a process says of itself; one that is no Celery worker says its release alone."""

    name: str
    release: str
    queues: frozenset[str] = frozenset()
    handlers: frozenset[str] = frozenset()


def ask_workers(settings: Settings) -> list[Worker]:
    """Ask each worker what it is; those that answer in time. Where Redis is away: nobody."""
    app = Celery(set_as_current=False)
    app.conf.update(celery_config(settings))
    try:
        answers = app.control.broadcast(ABOUT, reply=True, timeout=ANSWER_SECONDS) or []
    except (RedisError, BrokerError, OSError):
        return []
    finally:
        app.close()
    return [
        _worker(name, said) for answer in answers for name, said in answer.items() if isinstance(said, dict)
    ]


def others(redis: "Redis") -> list[Worker]:
    """Return web, forwarder and beat. Where Redis is away: nobody."""
    try:
        return [Worker(name, release) for name, release in releases.alive(redis).items()]
    except RedisError:
        return []


def judge(measured: PartialBacklog, workers: Sequence[Worker], texts: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is wrong; ``texts``: of the alerts that are raised. Pure: no I/O."""
    for name in sorted(measured.raised):
        yield Finding(name, texts.get(name) or "the alert is raised", ALERTS[name], REMEDIES[name].text)
    if measured.transport is not None and measured.workers is not None:
        yield from _queues(measured.transport, measured.workers, measured.raised)
    yield from differences(workers)


def differences(workers: Sequence[Worker], asker: str = "this command") -> Iterator[Finding]:
    """Yield in what processes differ that should not, the asker included. Pure: no I/O."""
    yield from _releases(workers, asker)
    yield from _handlers(workers)


def lacking(workers: Sequence[Worker]) -> dict[str, list[str]]:
    """Return by its name, of each that is to know all handlers, those it lacks that others have. Pure: no I/O."""
    knowing = [worker for worker in workers if worker.queues & {WEBHOOKS, CONVERSATIONS}]
    everybody = frozenset[str]().union(*(worker.handlers for worker in knowing))
    return {worker.name: sorted(everybody - worker.handlers) for worker in knowing}


def _queues(
    transport: RedisBacklog, workers: Mapping[str, frozenset[str]], raised: frozenset[str]
) -> Iterator[Finding]:
    consumed = {queue for queues in workers.values() for queue in queues}
    for queue, (name, why) in WITHOUT.items():
        if queue not in consumed and name not in raised:
            waiting = transport.queues.get(queue, 0)
            what = f"no process consumes the queue {queue} ({waiting:,} messages in it)"
            yield Finding(name, what, why, REMEDIES[name].text)
    for queue in sorted(consumed - set(WITHOUT)):
        if queue == DEAD_LETTERS:
            yield Finding(
                "dead_letter_queue",
                "a worker consumes the queue dead_letters",
                "its messages stand for dead letters, so that their number can be seen where queues are watched",
                "start workers with the queues of the Procfile",
                Level.ADVICE,
            )


def _releases(workers: Sequence[Worker], asker: str) -> Iterator[Finding]:
    releases = defaultdict(list)
    for worker in workers:
        releases[worker.release].append(worker.name)
    if len(releases) > 1 or (releases and reporting.release() not in releases):
        said = "; ".join(
            f"{release}: {', '.join(sorted(names))}" for release, names in sorted(releases.items())
        )
        yield Finding(
            "versions",
            f"several releases run ({asker} is {reporting.release()}): {said}",
            "half a deploy: what the new release stores the old one may not know",
            "finish the deploy, the stopped processes first",
            Level.ADVICE,
        )


def _handlers(workers: Sequence[Worker]) -> Iterator[Finding]:
    groups = defaultdict(list)
    for worker in workers:
        if worker.queues & {WEBHOOKS, CONVERSATIONS}:
            groups[worker.handlers].append(worker.name)
    if len(groups) > 1:
        everybody = frozenset().union(*groups)
        missing = "; ".join(
            f"{', '.join(sorted(names))}: without {', '.join(sorted(everybody - handlers))}"
            for handlers, names in groups.items()
            if everybody - handlers
        )
        yield Finding(
            "handlers",
            f"not every ingest and worker has the same handlers: {missing}",
            "ingest decides by its handlers what is to be done: without one, events end as unhandled; a worker without"
            " one leaves them",
            "start all with the same HANDLERS and the same code",
        )


def _worker(name: str, said: Mapping[str, Any]) -> Worker:
    return Worker(
        name,
        str(said.get("release")),
        frozenset(map(str, said.get("queues") or ())),
        frozenset(map(str, said.get("handlers") or ())),
    )
