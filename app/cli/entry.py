"""The command ``neverdrop``: what people do by hand.

Personal data (phone numbers, texts, message ids) is masked on the screen unless ``--reveal`` is given: terminals
are shared and recorded.
"""

import sys
from importlib import import_module

import click

from app.cli.errors import sentence
from app.dev import data_directory
from config.settings import SettingsError

# These use stores: those of the stack that runs beside them, if the environment names no others
JOINING = {
    "simulate", "migrate", "status", "trace", "dead", "held", "outbox", "quarantine", "pause", "resume", "replay",
    "purge",
}  # fmt: skip

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
    "held": "app.cli.held:held",
    "quarantine": "app.cli.quarantine:quarantine",
    "outbox": "app.cli.outbox:outbox",
    "pause": "app.cli.pause:pause",
    "resume": "app.cli.pause:resume",
    "replay": "app.cli.replay:replay",
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
        text = sentence(error)
        if text is None:
            raise
        _fail(text)


def _fail(text: str) -> None:
    click.echo(f"neverdrop: {text}", err=True)
    sys.exit(1)
