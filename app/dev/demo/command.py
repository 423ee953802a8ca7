"""The command ``neverdrop demo``: the whole pipeline under traffic, a killed worker, and a verdict."""

import time
from dataclasses import replace

import click
from rich.console import Console

from app.dev.demo import report
from app.dev.demo.environment import log_file
from app.dev.demo.promises import PROMISES
from app.dev.demo.run import Scenario, run
from app.dev.judge import judge
from app.dev.simulator import Options

FULL = Options(
    messages=1000,
    statuses=3000,
    conversations=50,
    failing=40,
    doomed=3,
    slow=8,
    forged=10,
    largest_batch=8,
)


@click.command()
@click.option("--seed", default=FULL.seed, show_default=True, type=int, help="of the traffic")
def demo(seed: int) -> None:
    """Run a pipeline under traffic, kill a worker, and judge what became of every event.

    Exit status 1 if a promise was broken or it could not finish.
    """
    console = Console()
    began = time.monotonic()
    traffic = replace(FULL, seed=seed, start=int(time.time()) - FULL.seconds)
    with log_file() as log:
        facts = run(Scenario(traffic), log, console)
        verdicts = judge(facts, PROMISES)
        report.show(console, facts, verdicts, time.monotonic() - began)
        if not all(verdict.kept for verdict in verdicts):
            raise SystemExit(1)
