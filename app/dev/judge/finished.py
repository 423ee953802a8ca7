"""Stored means finished: checks that every job is there and final, and nothing waits. Pure: no I/O."""

from collections.abc import Iterator

from app.dev.judge.facts import Facts
from app.dev.judge.verdict import Violation
from app.dev.simulator import Fate


def every_job_is_final(facts: Facts) -> Iterator[Violation | None]:
    """Every job is done, dead or without a handler, since a known time."""
    for job in facts.jobs:
        if job.final:
            yield None
        else:
            yield Violation(f"not finished: {facts.name(job)} is {job.state}", (facts.event(job).key,))


def every_event_has_its_jobs(facts: Facts) -> Iterator[Violation | None]:
    """Every event has one job for each lane name that has a handler or target for it; without any it says so."""
    for planned in facts.expected:
        if planned.key not in facts.event_of:
            continue  # judged elsewhere
        jobs = facts.live_jobs(planned.key)
        unhandled = planned.fate is Fate.UNHANDLED
        lane_names = sorted(job.lane_name for job in jobs)
        if lane_names != sorted(facts.lane_names(planned)):
            sentence = f"has jobs in {', '.join(lane_names) or 'no lane'}: {planned.key}"
            yield Violation(sentence, (planned.key,))
        elif any((job.state == "unhandled") != unhandled for job in jobs):
            wrong = "no handler took" if not unhandled else "some handler took"
            yield Violation(f"{wrong}: {planned.key}", (planned.key,))
        else:
            yield None


def nothing_waits(facts: Facts) -> Iterator[Violation | None]:
    """The journal and every queue but that of dead letters are empty."""
    for name, count in facts.waiting.items():
        yield Violation(f"{count} left in {name}") if count else None
