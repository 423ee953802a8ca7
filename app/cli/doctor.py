"""``neverdrop doctor``: what is wrong, why it matters, and how to fix it."""

import sys
from collections.abc import Iterator
from dataclasses import asdict

import click
from rich.console import Console
from rich.text import Text

from app import doctor as examinations
from app.cli.terminal import JSON, console, print_json
from app.doctor import Finding, Level, Outside
from app.stores import engine, redis
from config import settings as configuration
from config.settings import SettingsError, settings

STYLES = {Level.PROBLEM: "bold red", Level.ADVICE: "yellow"}


@click.command()
@click.option(
    "--meta",
    is_flag=True,
    help="also ask Meta about app, accounts and numbers, and try the callback URL",
)
@click.option("--deliver", is_flag=True, help="also post a signed delivery, and wait until it is done")
@click.option("--url", help="the callback URL, as Meta should have it  [default: the one that Meta has]")
@click.option("--account", "accounts", multiple=True, help="a WABA that the token does not name itself")
@click.option("--strict", is_flag=True, help="exit status 1 for advice too")
@JSON
def doctor(
    meta: bool, deliver: bool, url: str | None, accounts: tuple[str, ...], strict: bool, as_json: bool
) -> None:
    """Examine stores, processes and settings; each finding says why it matters and how to fix it.

    Exit status 1 if something does not work. docs/operations.md has an entry for each finding.
    """
    wanted = Outside(meta, deliver, url, accounts)
    found = []
    for finding in _examine(wanted, as_json):
        found.append(finding)
        if as_json:
            print_json(asdict(finding))
        else:
            _print(console(), finding)
    problems = sum(finding.level is Level.PROBLEM for finding in found)
    if found:
        click.echo(f"{problems} problems, {len(found) - problems} pieces of advice", err=True)
    elif not as_json:
        click.echo("nothing found")
    if problems or (strict and found):
        sys.exit(1)


def _examine(wanted: Outside, quiet: bool) -> Iterator[Finding]:
    """Yield the faults of the settings, each a finding; then, where the stores are known, everything else."""
    needed = configuration.need(frozenset(configuration.NEEDED))
    try:
        configuration.load()
    except SettingsError as error:
        for line in str(error).splitlines():
            yield Finding(
                "settings", line, "no process starts with it", "correct it; README.md has every setting"
            )
    configuration.need(needed)
    try:
        settings()
    except SettingsError:
        return  # said above, and where the stores are is not known
    yield from examinations.everything(
        settings(), engine(), redis(), wanted, lambda said: None if quiet else click.echo(said)
    )


def _print(out: Console, finding: Finding) -> None:
    out.print(
        Text(f"{finding.level.upper()} ", STYLES[finding.level]) + Text(f"{finding.check}: {finding.what}")
    )
    out.print(Text(f"  why:  {finding.why}\n  fix:  {finding.fix}"))
