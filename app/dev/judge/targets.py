"""Targets: checks what reached each of them, of which event, under which id and when. Pure: no I/O.

Relies on: what a target received, by the clock that Postgres has too. Whether its jobs ran one at a time and in order
is judged with those of handlers; here, that each call was made while its job was under way, so that calls come in that
order.

A crash of Postgres may take back what was done within its last half second: that is posted again, under the same id.
What was on its way to the target at that moment arrives after it.
A forwarder that was stopped while a request was on its way to the socket sends that when it goes on, though others may
have posted it meanwhile: that is not judged.
"""

from collections.abc import Iterator

from app.dev.judge.facts import Facts, grouped
from app.dev.judge.records import StoredJob
from app.dev.judge.verdict import Violation

CRASH_SECONDS = 2.0  # before a crash of Postgres, and after it
RESUMED_SECONDS = 2.0  # after a forwarder that was stopped goes on
STOPPED = "stop_forwarder"  # the kind of fault that stops one
HELD_SECONDS = 60.0  # an outage of a target that lasts so long would show whether the bot waits for it
AWAY = "target_away"  # the kind of fault in which a target answers nobody

Span = tuple[float, float]


def targets_get_every_event(facts: Facts) -> Iterator[Violation | None]:
    """Each job of a target is done, and a call for it came while it was under way."""
    for lane_name, calls in facts.calls.items():
        by_event = grouped(calls, lambda call: call.event_id)
        for job in facts.jobs:
            if job.lane_name != lane_name or not job.final:
                continue
            keys = (facts.event(job).key,)
            since, until = _span(facts, job)
            if job.state != "done":
                yield Violation(f"is {job.state}: {facts.name(job)}", keys)
            elif not any(since <= call.at <= until for call in by_event.get(job.event_id, ())):
                yield Violation(f"was not received: {facts.name(job)}", keys)
            else:
                yield None


def calls_are_those_of_their_job(facts: Facts) -> Iterator[Violation | None]:
    """Each call was made while a job of its event was under way, and an id is that of one job."""
    spared = [
        (fault.began_at - CRASH_SECONDS, fault.began_at + CRASH_SECONDS)
        for fault in facts.faults
        if fault.loses_commits
    ]
    spared += [
        (fault.ended_at, fault.ended_at + RESUMED_SECONDS) for fault in facts.faults if fault.kind == STOPPED
    ]
    for lane_name, calls in facts.calls.items():
        jobs = grouped((job for job in facts.jobs if job.lane_name == lane_name), lambda job: job.event_id)
        ids: dict[int, set[str]] = {}
        for id_, of_one_id in grouped(calls, lambda call: call.id).items():
            events = {call.event_id for call in of_one_id}
            event_id = of_one_id[0].event_id
            ids.setdefault(event_id, set()).add(id_)
            spans = [_span(facts, job) for job in jobs.get(event_id, ())]
            sure = [
                call for call in of_one_id if not any(since <= call.at <= until for since, until in spared)
            ]
            key = facts.by_id[event_id].key if event_id in facts.by_id else f"event {event_id}"
            if len(events) > 1 or not spans:
                yield Violation(f"id {id_} is not that of one event in {lane_name}: {key}", (key,))
            elif not any(all(since <= call.at <= until for call in sure) for since, until in spans):
                yield Violation(f"was posted in {lane_name} while its job was not under way: {key}", (key,))
            else:
                yield None
        for event_id, found in ids.items():
            if len(found) > len(jobs.get(event_id, ())):
                key = facts.by_id[event_id].key if event_id in facts.by_id else f"event {event_id}"
                yield Violation(f"has {len(found)} ids in {lane_name}: {key}", (key,))


def handlers_go_on_while_a_target_is_away(facts: Facts) -> Iterator[Violation | None]:
    """In a long outage of a target each lane name of handlers completes what was accepted in it, before it is over."""
    lane_names = {lane_name for planned in facts.expected for lane_name in planned.lane_names}
    for fault in facts.faults:
        if fault.kind != AWAY or fault.ended_at - fault.began_at < HELD_SECONDS:
            continue
        until = fault.ended_at - HELD_SECONDS / 2
        accepted = [
            key
            for key, each in facts.posted.items()
            if each.latest is not None and fault.began_at <= each.earliest and each.latest < until
        ]
        for lane_name in sorted(lane_names):
            jobs = [job for key in accepted for job in facts.live_jobs(key) if job.lane_name == lane_name]
            done = [job for job in jobs if job.finished_at is not None and job.finished_at <= fault.ended_at]
            if jobs and not done:
                yield Violation(f"nothing was completed in {lane_name} while a target was away")
            else:
                yield None


def _span(facts: Facts, job: StoredJob) -> Span:
    """Return from when until when a job may have been under way."""
    attempts = facts.attempts_of.get(job.id, ())
    since = attempts[0].started_at if attempts else float("inf")
    return since, job.finished_at if job.finished_at is not None else float("inf")
