"""The demo's table: what came in and what became of it, and the verdict on each promise."""

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.dev.judge import Facts, Verdict, comes_back
from app.dev.simulator import Fate
from app.stores import JOURNAL
from config.celery import CONVERSATIONS, WEBHOOKS

MAX_SENTENCES = 5  # of one promise
STORED_ONCE = (JOURNAL, WEBHOOKS, CONVERSATIONS)  # not their indexes, which hold the same deliveries again


def show(console: Console, facts: Facts, verdicts: Sequence[Verdict], seconds: float) -> None:
    """Print both tables and the verdict."""
    console.print(_table("What came in, and what became of it", counts(facts)))
    promises = Table("promise", "verdict", title="The promises", title_justify="left")
    for verdict in verdicts:
        promises.add_row(verdict.promise, _verdict_text(verdict))
    console.print(promises)
    kept = sum(verdict.kept for verdict in verdicts)
    colour = "green" if kept == len(verdicts) else "red"
    overall = "ALL PROMISES KEPT" if kept == len(verdicts) else f"{len(verdicts) - kept} PROMISES BROKEN"
    console.print(f"[bold {colour}]{overall}[/] in {seconds:.0f} s")


def _table(title: str, rows: Iterator[tuple[str, str]]) -> Table:
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def _verdict_text(verdict: Verdict) -> str:
    if verdict.kept:
        return "[green]kept[/]"
    lines = [escape(sentence) for sentence in verdict.sentences[:MAX_SENTENCES]]
    more = verdict.violations - len(lines)
    return "[red]broken[/]: " + "\n".join([*lines, f"and {more} more"] if more else lines)


def counts(facts: Facts) -> Iterator[tuple[str, str]]:
    """What is counted, and the number as text."""
    sent = facts.sent
    fates = Counter(_fate(facts, planned.key, planned.fate) for planned in facts.expected)
    late = sum(effect.late for effect in facts.effects)
    tries = Counter(run.job_id for run in facts.attempts if run.error is not None)
    recovered = [job for job in facts.jobs if job.state == "done" and tries[job.id]]
    kinds = Counter(planned.kind for planned in facts.expected)
    yield (
        "messages, statuses, conversations",
        (
            f"{kinds['message']:,}, {kinds['status']:,}, {len({planned.conversation for planned in facts.expected}):,}"
        ),
    )
    yield "bodies posted, redeliveries included", f"{sent.posts:,}"
    yield "answered with 200", f"{sent.acknowledged:,}"
    if sent.tries > sent.posts:
        yield "posted again for want of a 200", f"{sent.tries - sent.posts:,}"
    yield "forged bodies refused", f"{sent.forged - sent.forged_acknowledged:,} of {sent.forged:,}"
    yield "events accepted", f"{len(facts.events):,}"
    yield "duplicates", f"{facts.duplicates:,}"
    yield "done once", f"{fates['done once']:,}"
    yield "  in order", f"{fates['done once'] - late:,}"
    yield "  late: stored after a later one had run", f"{late:,}"
    yield "  after failed attempts", f"{len(recovered):,}"
    yield "unhandled: no handler is for them", f"{fates['unhandled']:,}"
    yield "dead letters", f"{fates['dead']:,}"
    yield "anything else", f"{fates['else']:,}"
    yield "messages at their furthest status", f"{len(facts.statuses):,}"
    yield "left in the journal and the queues", f"{sum(facts.queues.get(name, 0) for name in STORED_ONCE):,}"
    yield from _of_the_kill(facts)


def _of_the_kill(facts: Facts) -> Iterator[tuple[str, str]]:
    if not facts.faults:
        yield "killed", "nobody"
        return
    yield "killed in the middle, by SIGKILL", facts.faults[0].target
    interruptions = comes_back.interruptions(facts)
    yield "  handlers that were running", f"{len(interruptions):,}"
    waits = [each.again for each in interruptions if each.again is not None]
    if waits:
        yield "  until they ran again", f"{max(waits):.1f} s"


def _fate(facts: Facts, key: str, planned: Fate) -> str:
    jobs = facts.live_jobs(key)
    if len(jobs) != 1:
        return "else"
    state, effects = jobs[0].state, len(facts.effects_of.get(jobs[0].id, ()))
    if state == "unhandled" and planned is Fate.UNHANDLED and not effects:
        return "unhandled"
    if state == "done" and effects == 1:
        return "done once"
    return "dead" if state == "dead" and not effects else "else"
