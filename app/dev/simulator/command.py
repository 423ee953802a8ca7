"""The command ``neverdrop simulate``: signed traffic for a running receiver."""

import ipaddress
import random
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import click
import httpx
from rich.console import Console

from app.dev.simulator.sender import NO_ANSWER, Answer, PostAddress, Sender, progress_bar
from app.dev.simulator.traffic import Options, Post, plan
from config.settings import settings

MAX_EVENTS = 1_000_000  # of one run: they are all made before the first is sent
COMMAND = "neverdrop"
PERCENT = click.FloatRange(0, 100)
STATUSES_A_MESSAGE = 3  # sent, delivered, read
MEANINGS = {
    NO_ANSWER: "no answer at all; does a receiver run there?",
    httpx.codes.UNAUTHORIZED: "401, so WHATSAPP_APP_SECRET is not the receiver's",
    httpx.codes.SERVICE_UNAVAILABLE: "503, so the receiver's stores are down",
}
LOCAL_URL = "http://127.0.0.1:{port}/webhook"  # of PORT, which `neverdrop up` tells the commands beside it


@click.command()
@click.option("--url", help="of the webhook endpoint  [default: that of the `neverdrop up` that runs here]")
@click.option("--allow-remote", is_flag=True, help="post to a host that is not this machine")
@click.option(
    "--messages",
    default=100,
    show_default=True,
    type=click.IntRange(0, MAX_EVENTS),
    help="messages from users",
)
@click.option(
    "--statuses",
    type=click.IntRange(0, MAX_EVENTS),
    help="of messages to users  [default: 3 for each message]",
)
@click.option(
    "--conversations", default=10, show_default=True, type=click.IntRange(1, MAX_EVENTS), help="users"
)
@click.option(
    "--redelivered", default=10.0, show_default=True, type=PERCENT, help="percent of the bodies posted twice"
)
@click.option(
    "--shuffled",
    default=10.0,
    show_default=True,
    type=PERCENT,
    help="percent of the bodies posted out of order",
)
@click.option(
    "--failing",
    default=0,
    show_default=True,
    type=click.IntRange(0, MAX_EVENTS),
    help="texts that ask to fail at first",
)
@click.option(
    "--doomed",
    default=0,
    show_default=True,
    type=click.IntRange(0, MAX_EVENTS),
    help="texts that ask to fail for good",
)
@click.option(
    "--rate",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 1_000_000),
    help="posts a second; 0 is no limit",
)
@click.option(
    "--concurrency", default=16, show_default=True, type=click.IntRange(1, 1_000), help="posts at a time"
)
@click.option(
    "--seed",
    type=click.IntRange(-(2**63), 2**63),
    help="the same seed sends the same events again; by default they are new",
)
def simulate(
    url: str | None,
    allow_remote: bool,
    messages: int,
    statuses: int | None,
    conversations: int,
    redelivered: float,
    shuffled: float,
    failing: int,
    doomed: int,
    rate: float,
    concurrency: int,
    seed: int | None,
) -> None:
    """Send signed traffic, shaped like Meta's, to a running receiver.

    It is signed with WHATSAPP_APP_SECRET. Exit status 1 if a post never got a 200.
    """
    url = url or LOCAL_URL.format(port=settings().port)
    if not allow_remote and not is_loopback(url):
        raise click.UsageError(f"{url} is not on this machine: add --allow-remote if you mean it")
    try:
        options = Options(
            messages=messages,
            statuses=STATUSES_A_MESSAGE * messages if statuses is None else statuses,
            conversations=conversations,
            redelivered=redelivered,
            shuffled=shuffled,
            failing=failing,
            doomed=doomed,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    posts = plan(_seeded(options, seed))
    answers = _send_with_bar(posts, PostAddress(url, settings().app_secrets[0], rate, concurrency))
    for line in summary(answers):
        click.echo(line)
    if not all(answer.acknowledged for answer in answers):
        raise SystemExit(1)


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine by its very name; nothing is looked up."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _seeded(options: Options, seed: int | None) -> Options:
    """The very same bodies for a given seed; new events that happened just now without one."""
    if seed is not None:
        return replace(options, seed=seed)
    return replace(options, seed=random.randrange(10**9), start=int(time.time()) - options.seconds)


def _send_with_bar(posts: Sequence[Post], target: PostAddress) -> list[Answer]:
    with progress_bar(Console(stderr=True)) as bar:
        task = bar.add_task("posts", total=len(posts))
        return Sender(target, threading.Event()).send(posts, lambda _: bar.advance(task))


def summary(answers: Sequence[Answer]) -> Iterator[str]:
    """What was sent and how it was answered, a line each."""
    acknowledged = sum(answer.acknowledged for answer in answers)
    again = sum(max(0, len(answer.tries) - 1) for answer in answers)
    events = {event.key: event for answer in answers if answer.acknowledged for event in answer.post.events}
    yield f"{acknowledged} of {len(answers)} posts got a 200, with {len(events)} different events"
    if again:
        yield f"{again} were posted again because they got none"
    for status, count in sorted(
        Counter(last(answer) for answer in answers if not answer.acknowledged).items()
    ):
        yield f"{count} never got one: {MEANINGS.get(status, f'status {status}')}"
    wamid = next((event.message_id for event in events.values() if event.kind == "message"), None)
    if wamid:
        yield f"To see what became of one message: {_as_typed()} trace {wamid}"


def _as_typed() -> str:
    """Return the command as it was typed, so that the next one can be copied: it may not be on the PATH."""
    typed = sys.argv[0]
    return typed if Path(typed).name == COMMAND and shutil.which(COMMAND) is None else COMMAND


def last(answer: Answer) -> int:
    """The last status a post was answered with."""
    return answer.tries[-1].status if answer.tries else NO_ANSWER
