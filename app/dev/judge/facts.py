"""Everything that is judged: the sender's ledger, the faults, and what the tables and queues show. Pure: no I/O."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

from app.dev.judge.ledger import Acceptance, Entry, Sent, acceptances, sent_of
from app.dev.judge.records import (
    ReceivedReply,
    StoredAttempt,
    StoredEffect,
    StoredEvent,
    StoredJob,
    StoredReplay,
    StoredSend,
    StoredStatus,
    TargetCall,
)
from app.dev.simulator import PlannedEvent
from config.celery import DEAD_LETTERS

MAIN_LANE = "main"

Key = TypeVar("Key")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class PastFault:
    """A fault from its begin to its end (Unix seconds)."""

    kind: str
    began_at: float
    ended_at: float
    pids: frozenset[int] | None = frozenset()  # processes that it killed or stopped; None: any may be
    target: str = ""  # the process that it hit
    takes_away: bool = False  # something that recovery needs: a store, or beat
    sets_clock: bool = False  # Redis's, at its begin and at its end
    loses_commits: bool = False  # what was committed without waiting for the disk may be taken back


@dataclass(frozen=True)
class Facts:
    """Everything that is judged."""

    entries: Sequence[Entry]
    deliveries: int
    duplicates: int
    events: Sequence[StoredEvent]
    jobs: Sequence[StoredJob]
    attempts: Sequence[StoredAttempt]
    effects: Sequence[StoredEffect]
    statuses: Mapping[str, StoredStatus]  # by message id
    queues: Mapping[str, int] = field(default_factory=dict)  # what the journal and each queue hold at the end
    faults: Sequence[PastFault] = ()
    replays: Sequence[StoredReplay] = ()
    sends: Sequence[StoredSend] = ()
    calls: Mapping[str, Sequence[TargetCall]] = field(default_factory=dict)  # by lane name of the target
    received: Sequence[ReceivedReply] | None = None  # by a stand-in for Meta; None: there was none

    @cached_property
    def sent(self) -> Sent:
        """What was posted, in numbers."""
        return sent_of(self.entries)

    @cached_property
    def expected(self) -> list[PlannedEvent]:
        """Every event of a well-signed body, once, in the order of the first post that holds it."""
        genuine = (entry for entry in self.entries if not entry.forged)
        return list({event.key: event for entry in genuine for event in entry.events}.values())

    @cached_property
    def posted(self) -> dict[str, Acceptance]:
        """Every event that was posted at least once, by key."""
        return acceptances(self.entries)

    @cached_property
    def acknowledged(self) -> dict[str, PlannedEvent]:
        """Every event of a body that was answered with 200, by key."""
        return {key: each.event for key, each in self.posted.items() if each.latest is not None}

    @cached_property
    def event_of(self) -> dict[str, StoredEvent]:
        """Stored events by key."""
        return {event.key: event for event in self.events}

    @cached_property
    def by_id(self) -> dict[int, StoredEvent]:
        """Stored events by id."""
        return {event.id: event for event in self.events}

    @cached_property
    def job_by_id(self) -> dict[int, StoredJob]:
        """Jobs by id."""
        return {job.id: job for job in self.jobs}

    @cached_property
    def jobs_of(self) -> dict[int, list[StoredJob]]:
        """By event id, in the order of their numbers."""
        return grouped(sorted(self.jobs, key=lambda job: job.id), lambda job: job.event_id)

    def lane_names(self, planned: PlannedEvent) -> tuple[str, ...]:
        """Return the lane names in which an event has jobs: of its handlers, and of the targets that there were."""
        return (*planned.lane_names, *(name for name in planned.targets if name in self.calls))

    def live_jobs(self, key: str) -> list[StoredJob]:
        """Return the jobs of an event that are no replay's, one for each lane name; none if it is not stored."""
        event = self.event_of.get(key)
        jobs = self.jobs_of.get(event.id, ()) if event else ()
        return [job for job in jobs if job.replay_id is None]

    @cached_property
    def sends_of(self) -> dict[int, list[StoredSend]]:
        """By event id."""
        return grouped(self.sends, lambda send: send.event_id)

    def event(self, job: StoredJob) -> StoredEvent:
        """Return what a job is about."""
        return self.by_id[job.event_id]

    def name(self, job: StoredJob) -> str:
        """Return what a sentence calls a job: its event's key, and what tells it from the event's other jobs."""
        lane_name = "" if job.lane_name == MAIN_LANE else f" in {job.lane_name}"
        return f"{self.event(job).key}{lane_name}{f' (replay {job.replay_id})' if job.replay_id else ''}"

    @cached_property
    def effects_of(self) -> dict[int | None, list[StoredEffect]]:
        """By job id, in the order of their commits."""
        effects = sorted(self.effects, key=lambda effect: effect.sequence)
        return grouped(effects, lambda effect: effect.job_id)

    @cached_property
    def attempts_of(self) -> dict[int, list[StoredAttempt]]:
        """By job id, in the order of their numbers."""
        attempts = sorted(self.attempts, key=lambda attempt: attempt.number)
        return grouped(attempts, lambda attempt: attempt.job_id)

    @property
    def dead_letters(self) -> int:
        """Messages in the queue of that name."""
        return self.queues.get(DEAD_LETTERS, 0)

    @property
    def waiting(self) -> dict[str, int]:
        """What the journal and each queue hold that a worker has still to look at."""
        return {name: count for name, count in self.queues.items() if name != DEAD_LETTERS}

    def history(self, key: str) -> list[str]:
        """Describe everything that is known of an event, a line each."""
        lines = [
            f"posted to {each.target} {each.began:.3f} to {each.ended:.3f}: {each.status}"
            for entry in self.entries
            if any(event.key == key for event in entry.events)
            for each in entry.tries
        ]
        event = self.event_of.get(key)
        if event is None:
            return [*lines, "no row"]
        lines.append(
            f"event {event.id}, occurred {event.occurred_at:.0f}, delivery {event.delivery_id} at {event.position}, "
            f"stored {event.stored_at:.3f}"
        )
        lines += [line for job in self.jobs_of.get(event.id, ()) for line in self._history_of(job)]
        lines += [
            f"reply {each.state}, unsure {each.unsure}, {each.lost_answers} answers lost, {each.error}"
            for each in self.sends_of.get(event.id, ())
        ]
        calls = ((name, call) for name, calls in self.calls.items() for call in calls)
        return [
            *lines,
            *(f"call {call.id} in {name} {call.at:.3f}" for name, call in calls if call.event_id == event.id),
        ]

    def _history_of(self, job: StoredJob) -> list[str]:
        replay = f" of replay {job.replay_id}" if job.replay_id else ""
        lines = [
            f"job {job.id}{replay} {job.state}, {job.lane_name} lane {job.lane}, late {job.late}, {job.error}"
        ]
        lines += [
            f"attempt {each.number} by {each.worker} {each.started_at:.3f} to "
            f"{each.finished_at or 0:.3f}: {each.error}"
            for each in self.attempts_of.get(job.id, ())
        ]
        lines += [
            f"effect {each.sequence} of attempt {each.attempt}, {each.started_at:.3f} to {each.ended_at:.3f}, "
            f"late {each.late}"
            for each in self.effects_of.get(job.id, ())
        ]
        return lines


def grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """Group items by a key, each group in the order in which its items come."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
