"""The command ``neverdrop``: what people do by hand.

Personal data (phone numbers, texts, message ids) is masked on the screen unless ``--reveal`` is given: terminals
are shared and recorded.
"""

import sys
from importlib import import_module

import click

from app.dev import data_directory
from config.settings import SettingsError

QUERY_CANCELED = "57014"  # SQLSTATE

# These use stores: those of the stack that runs beside them, if the environment names no others
JOINING = {"simulate", "migrate", "status", "trace", "dead", "pause", "resume", "purge"}

# Each command in the file of its concept; imported only when it is called, so that `explain` starts at once.
COMMANDS = {
    "up": "app.dev.stack.up:up",
    "demo": "app.dev.demo.command:demo",
    "simulate": "app.dev.simulator.command:simulate",
    "explain": "app.cli.explain:command",
    "migrate": "app.cli.migrate:migrate",
    "status": "app.cli.status:status",
    "trace": "app.cli.trace:trace",
    "dead": "app.cli.dead:dead",
    "pause": "app.cli.pause:pause",
    "resume": "app.cli.pause:resume",
    "purge": "app.cli.purge:purge",
}


class LazyGroup(click.Group):
    """Imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's signature)
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        if cmd_name in JOINING:
            data_directory.join()
        module, _, name = COMMANDS[cmd_name].partition(":")
        command = getattr(import_module(module), name)
        return command if isinstance(command, click.Command) else None


@click.group(cls=LazyGroup)
@click.version_option(package_name="neverdrop")
def cli() -> None:
    """Receive WhatsApp webhooks and never drop a message."""


def main() -> None:
    """The entry point: what the environment lacks, and a store that is away, are sentences and not tracebacks."""
    try:
        cli(standalone_mode=True)
    except SettingsError as error:
        _fail(str(error))
    except BrokenPipeError:  # the reader has seen enough, as in `neverdrop dead list | head`
        sys.stderr.close()
    except Exception as error:
        sentence = _sentence(error)
        if sentence is None:
            raise
        _fail(sentence)


def _sentence(error: Exception) -> str | None:
    """What to do about an error that is not ours; None for a fault of the program."""
    from redis.exceptions import RedisError

    from app.errors import NeverdropError
    from app.stores import Fault, judge, sqlstate

    if isinstance(error, NeverdropError):
        return str(error)
    fault = judge(error)
    if fault is None:
        return None
    if isinstance(error, RedisError):
        return f"Redis does not answer; is REDIS_URL right, and the server up?\n{error}"
    cause = getattr(error, "orig", None) or error
    if sqlstate(error) == QUERY_CANCELED:
        return (
            f"Postgres ended a statement that took too long: set a longer DATABASE_TIMEOUT_SECONDS\n{cause}"
        )
    if fault is Fault.SCHEMA:
        return f"the database has not the tables of this release: run `neverdrop migrate`\n{cause}"
    if fault is Fault.ITEM:
        return None
    return f"Postgres does not answer; is DATABASE_URL right, and the server up?\n{cause}"


def _fail(sentence: str) -> None:
    click.echo(f"neverdrop: {sentence}", err=True)
    sys.exit(1)
