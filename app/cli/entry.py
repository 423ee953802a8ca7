"""The command ``neverdrop``: what people do by hand.

Personal data (phone numbers, texts, message ids) is masked on the screen unless ``--reveal`` is given: terminals
are shared and recorded.
"""

import sys
from functools import partial
from importlib import import_module

import click

from app.cli.errors import sentence
from app.cli.parameters import refuse_nonsense
from app.dev import data_directory
from config import settings as configuration
from config.logging import configure_command
from config.settings import SettingsError

# These use stores: those of the stack that runs beside them, if the environment names no others
JOINING = {
    "simulate", "migrate", "status", "trace", "dead", "held", "outbox", "quarantine", "pause", "paused", "resume",
    "replay", "purge", "forget", "doctor", "connect", "target",
}  # fmt: skip
# These work on the stores alone, wherever Meta's secrets are
STORES_ARE_ENOUGH = JOINING - {"simulate", "connect"}
EXIT_STATUS = """
Exit status: 0 it is done; 1 it is not, or not all of it: standard error says why and what to do; 2 the command line
cannot be understood. Completion for bash: eval "$(_NEVERDROP_COMPLETE=bash_source neverdrop)"; also zsh_source and
fish_source.
"""

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
    "paused": "app.cli.pause:paused",
    "resume": "app.cli.pause:resume",
    "replay": "app.cli.replay:replay",
    "purge": "app.cli.purge:purge",
    "forget": "app.cli.forget:command",
    "doctor": "app.cli.doctor:doctor",
    "connect": "app.cli.connect:connect",
    "target": "app.cli.target:target",
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
        if not isinstance(command, click.Command):
            return None
        refuse_nonsense(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Choose the command, and which settings it cannot do without."""
        if any("\0" in each for each in args):
            raise click.UsageError(
                "an argument has a NUL character in it, which is in nothing that is stored"
            )
        name, command, rest = super().resolve_command(ctx, args)
        if name in STORES_ARE_ENOUGH:
            ctx.call_on_close(partial(configuration.need, configuration.need(configuration.STORES)))
        return name, command, rest


@click.group(cls=LazyGroup, epilog=EXIT_STATUS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="neverdrop")
def cli() -> None:
    """Receive WhatsApp webhooks and never drop a message."""


def main() -> None:
    """The entry point: what the environment lacks, and a store that is away, are sentences and not tracebacks."""
    configure_command()
    if "" not in sys.path:  # HANDLERS may be in the working directory; last, so that it hides nothing of ours
        sys.path.append("")
    try:
        cli(prog_name="neverdrop", standalone_mode=True)
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
