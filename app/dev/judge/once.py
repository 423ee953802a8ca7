"""Once: checks that effects are committed once, and that attempts are counted and never overlap. Pure: no I/O."""

from collections.abc import Iterator
from itertools import pairwise

from app.dev.judge.facts import Facts
from app.dev.judge.records import StoredAttempt, StoredEffect, StoredJob
from app.dev.judge.verdict import Violation


def effects_are_committed_once(facts: Facts) -> Iterator[Violation | None]:
    """A done job of a handler has one effect, of its one successful attempt; any other job has none."""
    for job in facts.jobs:
        if job.final and job.lane_name not in facts.calls:
            yield _effects_of_one(facts, job)
    for job_id in facts.effects_of.keys() - facts.job_by_id.keys():
        yield Violation(f"an effect of a job that is not stored: {job_id}")


def _effects_of_one(facts: Facts, job: StoredJob) -> Violation | None:
    runs = 1 if job.state == "done" else 0
    name, keys = facts.name(job), (facts.event(job).key,)
    effects = facts.effects_of.get(job.id, [])
    succeeded = [attempt for attempt in facts.attempts_of.get(job.id, ()) if attempt.succeeded]
    if len(effects) != runs:
        return Violation(f"{len(effects)} effects instead of {runs}: {name}", keys)
    if len(succeeded) > runs:
        return Violation(f"{len(succeeded)} attempts were committed: {name}", keys)
    if effects and not (succeeded and _within(effects[0], succeeded[0])):
        return Violation(f"its effects are not those of its attempt: {name}", keys)
    return None


def _within(effect: StoredEffect, attempt: StoredAttempt) -> bool:
    """A handler is told a lower number where earlier attempts lost a race of transactions, which costs none."""
    ended_at = attempt.finished_at or 0
    return (
        effect.attempt <= attempt.number
        and attempt.started_at <= effect.started_at <= effect.ended_at <= ended_at
    )


def attempts_never_overlap(facts: Facts) -> Iterator[Violation | None]:
    """Attempts are numbered without a gap, as many as the job says; none finished after the next had begun."""
    for job in facts.jobs:
        name, keys = facts.name(job), (facts.event(job).key,)
        attempts = facts.attempts_of.get(job.id, [])
        if [attempt.number for attempt in attempts] != list(range(1, job.attempts + 1)):
            yield Violation(f"{job.attempts} attempts, and other rows: {name}", keys)
            continue
        overlapping = any(
            before.finished_at is not None and before.finished_at > after.started_at
            for before, after in pairwise(attempts)
        )
        yield Violation(f"attempts overlap: {name}", keys) if overlapping else None
