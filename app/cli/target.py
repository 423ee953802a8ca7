"""``neverdrop target``: the addresses that events are forwarded to; list, try, pause, resume and watch them."""

import asyncio
import getpass
from dataclasses import asdict
from typing import Any
from urllib.parse import urlsplit

import click
from rich.table import Table
from rich.text import Text

from app.broker import wake_forwarders
from app.cli.terminal import JSON, console, print_json
from app.handlers import Registry
from app.stores import engine, redis
from app.targets import Loaded, Target, TargetPause, load_targets, pauses, try_target
from app.watch import TargetHealth, target_health
from config.settings import settings

TRIED = "answered {status} in {ms:.0f} ms"


@click.group()
def target() -> None:
    """The addresses that events are forwarded to: FORWARD_URL, and those of the file that TARGETS names."""


def _loaded() -> Loaded:
    return load_targets(settings(), Registry())


def _named(name: str) -> Target:
    known = _loaded().targets
    if name not in known:
        raise click.ClickException(f"there is no target {name!r}; there are {', '.join(known) or 'none'}")
    return known[name]


def _address(each: Target) -> str:
    """Host and path: a query may hold a secret."""
    parts = urlsplit(each.url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


@target.command("list")
@JSON
def list_(as_json: bool) -> None:
    """List the targets, what each wants, and which are paused."""
    known = _loaded().targets
    with engine().connect() as connection:
        paused = {pause.name: pause for pause in pauses.all_paused(connection)}
    if as_json:
        for each in known.values():
            print_json({"name": each.name, **_facts(each), "paused": _pause(paused.get(each.name))})
        return
    if not known:
        click.echo("there are no targets: set FORWARD_URL, or TARGETS to a TOML file")
        return
    table = Table("name", "address", "wants", "form", "rate", "state", box=None)
    for each in known.values():
        pause = paused.get(each.name)
        wants = ", ".join(each.types or each.kinds) + (
            f" of {', '.join(each.numbers)}" if each.numbers else ""
        )
        state = "active" if pause is None else f"paused by {pause.who or 'its answer 410'}"
        rate = f"{each.rate:g}/s" if each.rate else "any"
        table.add_row(*map(Text, (each.name, _address(each), wants, each.form, rate, state)))
    console().print(table)


def _facts(each: Target) -> dict[str, Any]:
    return {
        "url": _address(each),
        "lane": each.lane_name,
        "kinds": each.kinds,
        "types": each.types,
        "numbers": each.numbers,
        "accounts": each.accounts,
        "form": each.form,
        "join": each.join,
        "rate": each.rate,
        "concurrency": each.concurrency,
        "timeout_seconds": each.timeout_seconds,
    }


def _pause(pause: TargetPause | None) -> dict[str, Any] | None:
    return None if pause is None else {name: value for name, value in asdict(pause).items() if name != "name"}


@target.command("test")
@click.argument("name")
@JSON
def test(name: str, as_json: bool) -> None:
    """Post a sample event to a target, signed, and show what it answers; exits with 1 if that is no success.

    Its id is evt_0_NAME: no event has the number 0. What it answers is not sent to anybody.
    """
    answer = asyncio.run(try_target(_named(name), settings()))
    if as_json:
        kept = answer.kept
        print_json(
            {"status": answer.status, "error": answer.error, "seconds": answer.seconds, "answer": kept}
        )
    elif answer.status is None:
        click.echo(f"no answer: {answer.error}")
    else:
        click.echo(TRIED.format(status=answer.status, ms=answer.seconds * 1000))
        if answer.kept:
            console().print(Text(answer.kept))
    if not answer.is_done:
        raise SystemExit(1)


@target.command()
@click.argument("name")
@click.option("--who", default=getpass.getuser, help="recorded; by default you")
@click.option("--reason", help="recorded")
def pause(name: str, who: str, reason: str | None) -> None:
    """Let nothing be posted to a target until it is resumed: its jobs wait."""
    if not pauses.pause(engine(), _named(name).name, who, reason):
        raise click.ClickException(f"the target {name} is paused already")
    click.echo(f"the target {name} is paused; what comes for it waits")


@target.command()
@click.argument("name")
@click.option("--who", default=getpass.getuser, help="recorded; by default you")
def resume(name: str, who: str) -> None:
    """Let a target go on that was paused, or that answered that it is gone."""
    if not pauses.resume(engine(), name, who):
        raise click.ClickException(f"the target {name} is not paused")
    wake_forwarders(redis())
    click.echo(f"the target {name} goes on")


@target.command()
@JSON
def stats(as_json: bool) -> None:
    """Show how each target goes: attempts of the last five minutes, latency, breaker, what waits."""
    known = _loaded().targets
    health = target_health.read(redis())
    with engine().connect() as connection:
        waiting = pauses.waiting(connection)
    names = [*known, *sorted((health.keys() | waiting.keys()) - known.keys())]
    if as_json:
        for name in names:
            print_json(
                {"name": name, "waiting": waiting.get(name, 0), **asdict(health.get(name, TargetHealth()))}
            )
        return
    table = Table(
        "name", "breaker", "attempts", "failed", "p50", "p99", "under way", "wait", "last error", box=None
    )
    for name in names:
        each = health.get(name, TargetHealth(breaker="no forwarder"))
        cells = (
            name, each.breaker, str(each.attempts), str(each.failures), _ms(each.p50_seconds), _ms(each.p99_seconds),
            str(each.in_flight), str(waiting.get(name, 0)), each.last_error or "",
        )  # fmt: skip
        table.add_row(*map(Text, cells))
    console().print(table)


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1000:.0f} ms"
