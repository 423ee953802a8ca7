"""Carry out what a person decides about events: those with some ids, or all that match a filter."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import click

from app.cli.terminal import confirm, print_json, progress
from app.cli.times import iso
from app.dead_letters import ActionResult
from app.stores import MAX_ID, chunks, database_now, engine
from app.views import Filter, Listing

IDS_A_CALL = 500

ID = click.IntRange(1, MAX_ID)
IDS = click.argument("event_ids", type=ID, nargs=-1)
ALL = click.option("--all", "everything", is_flag=True, help="every one that matches the options")
DRY_RUN = click.option("--dry-run", is_flag=True, help="say how many it would be, and change nothing")
Act = Callable[[Sequence[int], int], ActionResult]  # with the ids, and how many were changed before


@dataclass(frozen=True, slots=True)
class Chosen:
    """Events that a command line names: by ids, or everything that matches."""

    listing: Listing
    event_ids: Sequence[int]
    everything: bool
    filter_: Filter

    def check(self) -> None:
        """UsageError unless it is one or the other: never all by accident."""
        if self.event_ids and (self.everything or self.filter_ != Filter()):
            raise click.UsageError("give event ids, or --all with options, not both")
        if not self.event_ids and not self.everything:
            raise click.UsageError("give event ids, or --all")

    def counted(self) -> tuple["Chosen", int]:
        """Return the same without what fails again from now on, and how many events it is."""
        filter_ = Filter(ids=self.event_ids) if self.event_ids else self.filter_
        with engine().connect() as connection:
            now = database_now(connection)
            filter_ = replace(filter_, before=min(filter_.before or now, now))
            return replace(self, filter_=filter_), self.listing.count(connection, filter_)

    def parts(self) -> Iterator[Sequence[int]]:
        """Yield the ids in parts; of what matches a filter each part is whole conversations."""
        if self.event_ids:
            yield from chunks(self.event_ids, IDS_A_CALL)
            return
        last_lane: int | None = 0
        while last_lane is not None:
            with engine().connect() as connection:
                ids, last_lane = self.listing.whole_lanes(connection, self.filter_, last_lane, IDS_A_CALL)
            if ids:
                yield ids


def decide(
    chosen: Chosen,
    verb: str,
    act: Act,
    *,
    dry_run: bool,
    as_json: bool,
    yes: bool,
    after_all: Callable[[], object] | None = None,
) -> None:
    """Act part after part and print what came of it; ``after_all`` is called once everything that matches is done."""
    chosen.check()
    chosen, count = chosen.counted()
    if dry_run:
        _print({"would_be": count}, f"{count} would be {verb}", as_json)
        return
    if chosen.everything:
        confirm(f"{count} will be {verb}. Go on?", yes=yes)
    result = ActionResult()
    with progress(verb, count) as advance:
        for ids in chosen.parts():
            part = act(ids, len(result.changed))
            result.changed += part.changed
            result.refused |= part.refused
            advance(len(ids))
    if chosen.everything and after_all is not None:
        after_all()
    print_result(result, verb, as_json)


def print_result(result: ActionResult, verb: str, as_json: bool) -> None:
    """Print which events were changed and which were left alone; then the exit code is 1."""
    refused = [{"id": id_, "why": why} for id_, why in sorted(result.refused.items())]
    sentence = f"{len(result.changed)} {verb} at {iso(datetime.now(UTC))}"
    _print({verb: result.changed, "left_alone": refused}, sentence, as_json)
    for each in refused:
        click.echo(f"event {each['id']} was left alone: {each['why']}", err=True)
    if refused:
        raise SystemExit(1)


def _print(answer: dict[str, Any], sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        click.echo(sentence)
