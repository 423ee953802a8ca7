"""What a run says of itself: a table for people, one JSON object for machines."""

import platform
from collections import Counter
from statistics import median
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from tests.chaos import recovery
from tests.chaos.run import Result
from tests.chaos.schedule import written

GIB = 1024**3


def show(console: Console, result: Result) -> None:
    """Print what was sent, the verdict of each promise and how long recovery took."""
    figures = as_json(result)
    console.print(
        f"seed {result.plan.seed}: {figures['posts']} posts in {figures['tries']} tries, "
        f"{figures['events']} events, {figures['attempts']} attempts, {len(result.happened)} faults in "
        f"{result.plan.seconds:g} s; drained in {result.drain_seconds:.0f} s; {figures['machine']}"
    )
    _promises(console, result)
    _recovery(console, result)
    console.print("every promise was kept" if result.kept else "a promise was BROKEN", style="bold")


def _promises(console: Console, result: Result) -> None:
    table = Table("promise", "checked", "violations", "the first", title="promises")
    for verdict in result.verdicts:
        first = verdict.first.sentence if verdict.first else ""
        table.add_row(verdict.promise, str(verdict.checked), str(verdict.violations), first)
    console.print(table)
    for verdict in result.verdicts:
        for line in verdict.history:
            console.print(f"  {verdict.promise[:2]} {line}", soft_wrap=True, highlight=False)


def _recovery(console: Console, result: Result) -> None:
    table = Table(
        "fault", "times", "median s", "worst s", title="from its end until what waits was completed"
    )
    for kind, (times, *seconds) in recovery.by_kind(recovery.pairs(result.returns)).items():
        table.add_row(kind, str(times), *("never" if each is None else f"{each:.2f}" for each in seconds))
    console.print(table)
    table = Table(
        "fault", "attempts", "again: median s", "worst", "less outages", "no outage", "worst", "done: worst",
        title="until the event that was in its hands ran again",
    )  # fmt: skip
    for kind, row in _interrupted(result).items():
        table.add_row(kind, *(str(each) for each in row.values()))
    console.print(table)


def _interrupted(result: Result) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for kind in sorted({each.kind for each in result.interrupted}):
        group = [each for each in result.interrupted if each.kind == kind]
        again = [each.again for each in group if each.again is not None]
        undisturbed = [each.again for each in group if each.again is not None and not each.away]
        found[kind] = {
            "attempts": len(group),
            "again_median": _rounded(median(again) if again else None),
            "again_worst": _rounded(max(again, default=None)),
            "again_worst_less_outages": _rounded(
                max((each.again - each.away for each in group if each.again is not None), default=None)
            ),
            "undisturbed": len(undisturbed),
            "undisturbed_worst": _rounded(max(undisturbed, default=None)),
            "done_worst": _rounded(max((each.done for each in group if each.done is not None), default=None)),
        }
    return found


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


def as_json(result: Result) -> dict[str, Any]:
    """Every figure of a run, its seed and its schedule."""
    facts = result.facts
    return {
        "seed": result.plan.seed,
        "seconds": result.plan.seconds,
        "rate": result.plan.rate,
        "settings": result.plan.variables,
        "schedule": written(result.plan.schedule).splitlines(),
        "began": [round(event.at - result.began, 2) for event in result.happened],
        "machine": _machine(),
        "posts": len(facts.entries),
        "tries": sum(len(entry.tries) for entry in facts.entries),
        "answers": dict(Counter(str(each.status) for entry in facts.entries for each in entry.tries)),
        "events": len(facts.events),
        "jobs": dict(Counter(job.lane_name for job in facts.jobs)),
        "states": dict(Counter(job.state for job in facts.jobs)),
        "late": sum(job.late for job in facts.jobs),
        "replies": len(facts.sends),
        "lost_answers": sum(send.lost_answers > 0 for send in facts.sends),
        "settled": sum(send.lost_answers > 0 and send.state == "accepted" for send in facts.sends),
        "calls": {lane_name: len(calls) for lane_name, calls in facts.calls.items()},
        "replays": len(facts.replays),
        "replayed": sum(job.replay_id is not None for job in facts.jobs),
        "attempts": len(facts.attempts),
        "interrupted_attempts": sum(attempt.finished_at is None for attempt in facts.attempts),
        "drain_seconds": round(result.drain_seconds, 1),
        "kept": result.kept,
        "promises": [
            {
                "promise": verdict.promise,
                "checked": verdict.checked,
                "violations": verdict.violations,
                "sentences": verdict.sentences,
                "history": verdict.history,
            }
            for verdict in result.verdicts
        ],
        "returns": recovery.pairs(result.returns),
        "interrupted": _interrupted(result),
    }


def _machine() -> str:
    memory = psutil.virtual_memory().total / GIB
    return f"{psutil.cpu_count()} cores, {memory:.0f} GiB, {platform.system()}, Python {platform.python_version()}"
