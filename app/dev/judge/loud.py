"""Failure is loud: checks that those died that had to, and that each failure can be seen. Pure: no I/O."""

from collections.abc import Iterator

from app.dev.judge.facts import Facts
from app.dev.judge.records import StoredJob
from app.dev.judge.verdict import Violation
from app.dev.simulator import Fate, PlannedEvent


def dead_are_those_that_must_be(facts: Facts) -> Iterator[Violation | None]:
    """An event's jobs of handlers are dead if it was planned to die, and then with a reason; no others are."""
    for planned in facts.expected:
        event = facts.event_of.get(planned.key)
        for job in facts.jobs_of.get(event.id, ()) if event else ():
            if job.final and job.lane_name not in planned.targets:
                yield _death(planned, job, facts.name(job))


def _death(planned: PlannedEvent, job: StoredJob, name: str) -> Violation | None:
    if job.state == "dead" and planned.fate is not Fate.DEAD:
        return Violation(f"died unexpectedly: {name}: {job.error}", (planned.key,))
    if job.state != "dead" and planned.fate is Fate.DEAD:
        return Violation(f"should have died: {name}", (planned.key,))
    if job.state == "dead" and not job.error:
        return Violation(f"died without a reason: {name}", (planned.key,))
    return None


def dead_letters_are_queued(facts: Facts) -> Iterator[Violation | None]:
    """The queue of dead letters holds a message for each."""
    dead = sum(job.state == "dead" for job in facts.jobs)
    if facts.dead_letters == dead:
        yield None
    else:
        yield Violation(
            f"the queue of dead letters holds {facts.dead_letters} messages for {dead} dead letters"
        )


def failures_are_recorded(facts: Facts) -> Iterator[Violation | None]:
    """Each failure that was planned is an attempt with an error."""
    for planned in facts.expected:
        for job in facts.live_jobs(planned.key):
            if not job.final:
                continue
            failures = sum(attempt.error is not None for attempt in facts.attempts_of.get(job.id, ()))
            if failures >= planned.failures:
                yield None
            else:
                sentence = f"{failures} of {planned.failures} failures are written down: {facts.name(job)}"
                yield Violation(sentence, (planned.key,))
