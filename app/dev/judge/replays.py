"""Replays: checks that each made the jobs that it had to make, each once. Pure: no I/O.

What it cannot see: the moment at which a replay looked for its events. So what was stored shortly before may be
missing, and so may what had the place of a repeat then.
"""

from collections import Counter
from collections.abc import Iterator
from uuid import UUID

from app.dev.judge.facts import Facts
from app.dev.judge.records import StoredEvent, StoredReplay
from app.dev.judge.verdict import Violation
from app.dev.simulator import Fate

LOOK_SECONDS = 5.0  # from when a replay looks for its events until its row says that it began, at most


def replays_make_their_jobs(facts: Facts) -> Iterator[Violation | None]:
    """A replay has a job in each lane name for each event that it names, no two, and no others.

    Of one that did not get to its end some may be missing.
    """
    for replay in facts.replays:
        made = Counter((job.event_id, job.lane_name) for job in facts.jobs if job.replay_id == replay.id)
        if made.total() != replay.jobs:
            yield Violation(f"replay {replay.id} counts {replay.jobs} jobs, and has {made.total()}")
        for (event_id, lane_name), count in made.items():
            event = facts.by_id[event_id]
            if count > 1:
                yield Violation(
                    f"replay {replay.id} has {count} jobs in {lane_name}: {event.key}", (event.key,)
                )
            elif not _may_have(facts, replay, event, lane_name):
                yield Violation(f"replay {replay.id} did not name it: {event.key}", (event.key,))
            else:
                yield None
        for key, lane_name in _must_have(facts, replay) if replay.finished else ():
            if not made[facts.event_of[key].id, lane_name]:
                yield Violation(f"replay {replay.id} left it out in {lane_name}: {key}", (key,))


def _must_have(facts: Facts, replay: StoredReplay) -> Iterator[tuple[str, str]]:
    """Keys and lane names for which it must have a job: what was done, and stored, well before it began."""
    since = replay.began_at - LOOK_SECONDS
    for planned in facts.expected:
        event, acceptance = facts.event_of.get(planned.key), facts.posted.get(planned.key)
        if event is None or acceptance is None or planned.fate is Fate.UNHANDLED:
            continue
        if not _named(replay, event) or max(event.stored_at, acceptance.last) > since:
            continue
        for lane_name in facts.lane_names(planned):
            others = (
                job
                for job in facts.jobs_of[event.id]
                if job.lane_name == lane_name and job.replay_id != replay.id
            )
            busy = any(
                job.state == "dead" or job.finished_at is None or job.finished_at > since for job in others
            )
            if replay.lane_name in (None, lane_name) and not busy:
                yield planned.key, lane_name


def _may_have(facts: Facts, replay: StoredReplay, event: StoredEvent, lane_name: str) -> bool:
    acceptance = facts.posted.get(event.key)
    if acceptance is None or replay.lane_name not in (None, lane_name):
        return False
    was_repeated = acceptance.latest is not None and acceptance.last > acceptance.latest
    return lane_name in facts.lane_names(acceptance.event) and (was_repeated or _named(replay, event))


def _named(replay: StoredReplay, event: StoredEvent) -> bool:
    """Whether it was accepted in the span that the replay names, by the time in its delivery's id."""
    accepted_at = (UUID(event.delivery_id).int >> 80) / 1000
    return (replay.since is None or replay.since <= accepted_at) and (
        replay.until is None or accepted_at < replay.until
    )
