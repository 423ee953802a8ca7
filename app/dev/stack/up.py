"""The command ``neverdrop up``: what a person sees of a stack, and how it is stopped."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from urllib.parse import urlsplit

import click
from sqlalchemy.exc import SQLAlchemyError

from app.dev.data_directory import DATA_DIRECTORY
from app.dev.processes import Printer, Records, Stopped, Supervisor, printer_for_terminal
from app.dev.stack.stack import LOOPBACK, Plan, Stack, running
from app.dev.stack.tunnel import NAME as TUNNEL_NAME
from app.dev.stack.tunnel import TUNNELS, Tunnel, advice, find_tunnel
from app.errors import NeverdropError
from config.settings import DEVELOPMENT_APP_SECRET, DEVELOPMENT_VERIFY_TOKEN, SettingsError, settings

RESTART_CHECK_SECONDS = 0.2
PROBE_EVERY_SECONDS = 0.5
SLOW_START_SECONDS = 60
PRIVATE = 0o077  # whatever is written is for this user alone, by every process
MAX_PROCESSES = 64  # of a kind, on one machine
PORT = click.IntRange(1, 65535)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command()
@click.option(
    "--port", default=8000, envvar="PORT", show_default=True, type=PORT, help="of the webhook endpoint"
)
@click.option("--host", default=LOOPBACK, show_default=True, help="that the webhook endpoint listens on")
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1, MAX_PROCESSES), help="worker processes"
)
@click.option(
    "--ingests", default=1, show_default=True, type=click.IntRange(1, MAX_PROCESSES), help="ingest processes"
)
@click.option("--flower-port", default=5555, show_default=True, type=PORT, help="of Flower")
@click.option(
    "--chat-port",
    default=8001,
    show_default=True,
    type=PORT,
    help="of the page on which you chat with the bot",
)
@click.option("--no-flower", is_flag=True, help="run without Flower")
@click.option("--reload", is_flag=True, help="load handlers anew when their files are saved")
@click.option(
    "--tunnel",
    is_flag=False,
    flag_value="",
    type=click.Choice(["", *(each.program for each in TUNNELS)]),
    help="make the webhook public by a tunnel program that is installed here; name one, or the first is taken",
)
@click.option(
    "--data",
    default=DATA_DIRECTORY,
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="directory of the embedded stores",
)
def up(
    port: int,
    host: str,
    workers: int,
    ingests: int,
    flower_port: int,
    chat_port: int,
    no_flower: bool,
    reload: bool,
    tunnel: str | None,
    data: Path,
) -> None:
    """Run the whole pipeline here: web, ingest, worker, sender, beat and Flower.

    Valkey and Postgres are started too, unless REDIS_URL and DATABASE_URL are set; and a stand-in for Meta, with a
    page on which you chat with the bot, unless WHATSAPP_ACCESS_TOKEN is set.
    """
    flower = None if no_flower else flower_port
    printer = printer_for_terminal()
    os.umask(PRIVATE)
    try:
        through = None if tunnel is None else find_tunnel(tunnel or None)
        plan = Plan(
            data, host, port, flower, workers, ingests, chat_port=chat_port, reload=reload, tunnel=through
        )
        if through:  # before it is started, or its first lines would be missed
            printer.listeners.append(partial(_print_public_url, printer, through))
        with running(plan, lambda records: _supervisor(records, printer)) as stack:
            introduce(stack)
            threading.Thread(target=_print_addresses, args=(stack,), daemon=True).start()
            _supervise(stack)
    except Stopped:
        pass
    except (NeverdropError, SettingsError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except SQLAlchemyError as error:
        raise click.ClickException(f"DATABASE_URL cannot be used: {error}") from error
    printer.line("up", "stopped")
    if printer.closed.is_set():  # or Python complains at its exit that nobody reads
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _supervisor(records: Records, printer: Printer) -> Supervisor:
    """A supervisor that the signals stop: the first gently, the next at once."""
    supervisor = Supervisor(records, printer)

    def stop(_number: int, _frame: FrameType | None) -> None:
        if supervisor.stopping.is_set():
            supervisor.kill()
        supervisor.stopping.set()

    for number in STOP_SIGNALS:
        signal.signal(number, stop)
    return supervisor


def _supervise(stack: Stack) -> None:
    """Start again what ends, until somebody stops the stack or nobody reads its log any more."""
    supervisor = stack.supervisor
    while not supervisor.stopping.wait(RESTART_CHECK_SECONDS) and not supervisor.printer.closed.is_set():
        supervisor.restart_ended()
        if stack.reload:
            stack.reload.step()
    supervisor.say("stopping (Ctrl-C once more: at once)")


def _print_public_url(printer: Printer, tunnel: Tunnel, name: str, line: str) -> None:
    """Say what is to be entered at Meta when the tunnel's program shows its URL."""
    if name == TUNNEL_NAME and (found := tunnel.url.search(line)):
        for each in advice(found[0], settings().verify_tokens[0].decode()):
            printer.line("up", each)


def _print_addresses(stack: Stack) -> None:
    """Say once when everything answers, and once if that takes long."""
    supervisor = stack.supervisor
    slow_at = time.monotonic() + SLOW_START_SECONDS
    while not supervisor.stopping.wait(PROBE_EVERY_SECONDS):
        if stack.ready():
            supervisor.say(f"ready: POST webhooks to {stack.url}/webhook")
            if stack.plan.chat_port:
                supervisor.say(f"chat with the bot: http://{LOOPBACK}:{stack.plan.chat_port}")
            return
        if time.monotonic() > slow_at:
            slow_at = float("inf")
            supervisor.say("not ready yet: the lines above say what is in the way")


def introduce(stack: Stack) -> None:
    """Where everything is, and which secrets it was given."""
    for name, value in _facts(stack):
        stack.supervisor.say(f"{name:<13} {value}")


def _facts(stack: Stack) -> Iterator[tuple[str, str]]:
    plan, given = stack.plan, stack.settings
    if plan.chat_port:
        yield (
            "chat",
            f"http://{LOOPBACK}:{plan.chat_port}  (you are the customer: WHATSAPP_ACCESS_TOKEN is not set)",
        )
    yield "webhook", f"{stack.url}/webhook"
    if plan.flower_port:
        yield "Flower", f"http://{LOOPBACK}:{plan.flower_port}"
        if not given.flower_basic_auth.get_secret_value():
            user, password = stack.flower_auth.split(":")
            yield "", f"user {user}, password {password} (FLOWER_BASIC_AUTH is not set)"
    if not given.whatsapp_app_secret:
        yield "app secret", f"{DEVELOPMENT_APP_SECRET} (public: WHATSAPP_APP_SECRET is not set)"
    if not given.whatsapp_verify_token:
        yield "verify token", f"{DEVELOPMENT_VERIFY_TOKEN} (public: WHATSAPP_VERIFY_TOKEN is not set)"
    yield "REDIS_URL", _store(given.redis_url, "valkey" in stack.embedded)
    yield "DATABASE_URL", _store(given.database_url, "postgres" in stack.embedded)
    yield "handlers", ", ".join(given.handlers) or "none (HANDLERS is not set): events end as unhandled"
    if stack.embedded:
        yield "data", f"{plan.data} (kept between runs)"


def _store(url: str, embedded: bool) -> str:
    """A given URL without what may be a real password; an embedded store's as it is, to be copied."""
    if embedded:
        return url
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path} (given)"
