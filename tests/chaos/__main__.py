"""``python -m tests.chaos``: run the pipeline under load and faults, and judge what became of every event."""

import json
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console

from config.settings import Settings
from tests.chaos import disk, report, schedule, stepped_clock
from tests.chaos.run import Plan, run

DEFAULT_LEASE_SECONDS = float(Settings.model_fields["claim_lease_seconds"].default)
# In the short form the waits that the defaults impose on recovery are scaled down; nothing else differs.
SHORT = {"CLAIM_LEASE_SECONDS": "3", "SWEEP_GRACE_SECONDS": "2"}
DRAIN_SECONDS = 180.0
DISK = "fill_disk"


@click.command()
@click.option("--seconds", default=900.0, show_default=True, help="of load and faults")
@click.option("--seed", default=7, show_default=True, help="of bodies and faults")
@click.option("--rate", default=50.0, show_default=True, help="events a second")
@click.option("--every", default=10.0, show_default=True, help="seconds between two faults, on average")
@click.option("--faults", default="", help="comma-separated kinds; all without it, `none` for none")
@click.option("--list-faults", is_flag=True, help="print the kinds of faults")
@click.option(
    "--replay", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="a schedule to play"
)
@click.option("--short", is_flag=True, help="leases and grace of a few seconds, so that recovery is soon")
@click.option(
    "--drain",
    default=DRAIN_SECONDS,
    show_default=True,
    help="seconds without progress after which the end is given up",
)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="write every figure to this file")
@click.option("--log", type=click.Path(path_type=Path), help="keep the log of all processes in this file")
def main(
    seconds: float,
    seed: int,
    rate: float,
    every: float,
    faults: str,
    list_faults: bool,
    replay: Path | None,
    short: bool,
    drain: float,
    json_path: Path | None,
    log: Path | None,
) -> None:
    """Exit status 1 if a promise was broken."""
    lease = float(SHORT["CLAIM_LEASE_SECONDS"]) if short else DEFAULT_LEASE_SECONDS
    known = schedule.kinds(lease)
    if list_faults:
        for name, kind in known.items():
            click.echo(f"{name:<20} {kind.what}")
        return
    try:
        planned = _schedule(known, seed, seconds, every, faults, replay)
    except schedule.ScheduleError as error:
        raise click.UsageError(str(error)) from error
    planned = _possible(planned, {DISK}, disk.enter_namespace)
    planned = _possible(planned, set(schedule.CLOCKS), stepped_clock.unavailable)
    click.echo(f"# seed {seed}, {seconds:g} s, {rate:g} events/s\n{schedule.written(planned)}")
    plan = Plan(
        seconds=seconds,
        rate=rate,
        seed=seed,
        schedule=planned,
        kinds=known,
        drain_seconds=drain,
        variables=SHORT if short else {},
        short=short,
        small_disk=any(fault.kind == DISK for fault in planned),
    )
    result = run(plan, click.echo, log)
    report.show(Console(width=160), result)
    if json_path:
        json_path.write_text(json.dumps(report.as_json(result), indent=1) + "\n", encoding="utf-8")
    if not result.kept:
        raise SystemExit(1)


def _possible(
    planned: list[schedule.Fault], kinds: set[str], why_not: Callable[[], str | None]
) -> list[schedule.Fault]:
    """The faults without those of some kinds, if these cannot be had here: that is said, and why."""
    reason = why_not() if any(fault.kind in kinds for fault in planned) else None
    if reason is None:
        return planned
    click.echo(f"left out {', '.join(sorted(kinds))}: {reason}")
    return [fault for fault in planned if fault.kind not in kinds]


def _schedule(
    known: dict[str, schedule.Kind], seed: int, seconds: float, every: float, faults: str, replay: Path | None
) -> list[schedule.Fault]:
    if replay:
        return schedule.read(replay.read_text(encoding="utf-8"), known)
    if faults == "none":
        return []
    names = [name.strip() for name in faults.split(",") if name.strip()]
    return schedule.draw(seed, seconds, every, schedule.chosen(known, names))


if __name__ == "__main__":
    main()
