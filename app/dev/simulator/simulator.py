"""``neverdrop simulate``: signed traffic for a running receiver, posted as persistently as Meta would.

Anything but a 200, or no answer, is posted again, a few times with longer and longer pauses; Meta goes on for days.
"""

import ipaddress
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

import click
import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.dev.simulator.traffic import Options, Post, plan
from app.web import HEADER, sign
from config.settings import settings

PAUSES_SECONDS = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # before each further try; after the last it is given up
ANSWER_SECONDS = 20  # Meta waits about as long
NO_ANSWER = 0  # in the place of an HTTP status
STATUSES_A_MESSAGE = 3  # sent, delivered, read
FORGED_SECRET = b"not the secret of the app"
MEANINGS = {
    NO_ANSWER: "no answer at all; does a receiver run there?",
    httpx.codes.UNAUTHORIZED: "401, so WHATSAPP_APP_SECRET is not the receiver's",
    httpx.codes.SERVICE_UNAVAILABLE: "503, so the receiver's stores are down",
}
LOCAL_URL = "http://127.0.0.1:8000/webhook"


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a post: the HTTP status of each try, NO_ANSWER where there was none."""

    post: Post
    tries: tuple[int, ...]

    @property
    def acknowledged(self) -> bool:
        return bool(self.tries) and self.tries[-1] == httpx.codes.OK


@dataclass(frozen=True, slots=True)
class Target:
    """Where to, under which app secret, and how fast: turns a second (0: as fast as it goes)."""

    url: str
    secret: bytes
    rate: float = 0.0
    concurrency: int = 16  # posts under way at a time


class Sender:
    """Sends posts side by side; ``stopping`` ends it early, with every post that was not sent unanswered."""

    def __init__(
        self, target: Target, stopping: threading.Event, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._target = target
        self._stopping = stopping
        self._client = httpx.Client(
            timeout=ANSWER_SECONDS,
            limits=httpx.Limits(max_connections=target.concurrency),
            transport=transport,
            trust_env=False,
        )

    def send(self, posts: Sequence[Post], answered: Callable[[Answer], None]) -> list[Answer]:
        """Every answer in the order of the posts; ``answered`` hears of what was sent, from other threads."""
        with self._client, ThreadPoolExecutor(self._target.concurrency) as pool:
            try:
                futures = [pool.submit(self._persist, post, answered) for post in self._paced(posts)]
                answers = [future.result() for future in futures]
            except BaseException:  # Ctrl-C: leaving the pool waits for what is under way
                self._stopping.set()
                raise
        return [*answers, *(Answer(post, ()) for post in posts[len(answers) :])]

    def _paced(self, posts: Sequence[Post]) -> Iterator[Post]:
        """Each post when its turn has come."""
        began = time.monotonic()
        for post in posts:
            due = began + (post.turn / self._target.rate if self._target.rate else 0)
            if self._stopping.wait(max(0.0, due - time.monotonic())):
                return
            yield post

    def _persist(self, post: Post, answered: Callable[[Answer], None]) -> Answer:
        """Try until a 200, as Meta does; a forger tries once."""
        secret = FORGED_SECRET if post.forged else self._target.secret
        headers = {HEADER: sign(post.body, secret), "Content-Type": "application/json"}
        tries: list[int] = []
        for pause in (0.0, *PAUSES_SECONDS):
            if self._stopping.wait(pause):
                break
            tries.append(self._try(post.body, headers))
            if post.forged or tries[-1] == httpx.codes.OK:
                break
        answer = Answer(post, tuple(tries))
        if tries:
            answered(answer)
        return answer

    def _try(self, body: bytes, headers: dict[str, str]) -> int:
        try:
            return self._client.post(self._target.url, content=body, headers=headers).status_code
        except httpx.HTTPError:
            return NO_ANSWER


def progress_bar(console: Console) -> Progress:
    """A bar that counts posts."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )


@click.command()
@click.option("--url", default=LOCAL_URL, show_default=True, help="of the webhook endpoint")
@click.option("--allow-remote", is_flag=True, help="post to a host that is not this machine")
@click.option(
    "--messages", default=100, show_default=True, type=click.IntRange(0), help="messages from users"
)
@click.option(
    "--statuses", type=click.IntRange(0), help="of messages to users  [default: 3 for each message]"
)
@click.option("--conversations", default=10, show_default=True, type=click.IntRange(1), help="users")
@click.option("--redelivered", default=10.0, show_default=True, help="percent of the bodies posted twice")
@click.option("--shuffled", default=10.0, show_default=True, help="percent of the bodies posted out of order")
@click.option(
    "--failing", default=0, show_default=True, type=click.IntRange(0), help="texts that ask to fail at first"
)
@click.option(
    "--doomed", default=0, show_default=True, type=click.IntRange(0), help="texts that ask to fail for good"
)
@click.option(
    "--rate", default=0.0, show_default=True, type=click.FloatRange(0), help="posts a second; 0 is no limit"
)
@click.option("--concurrency", default=16, show_default=True, type=click.IntRange(1), help="posts at a time")
@click.option("--seed", type=int, help="the same seed sends the same events again; by default they are new")
def simulate(
    url: str,
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
    answers = _send_with_bar(posts, Target(url, settings().app_secrets[0], rate, concurrency))
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


def _send_with_bar(posts: Sequence[Post], target: Target) -> list[Answer]:
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
        yield f"To see what became of one message: neverdrop trace {wamid}"


def last(answer: Answer) -> int:
    """The last status a post was answered with."""
    return answer.tries[-1] if answer.tries else NO_ANSWER
