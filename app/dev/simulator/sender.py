"""Posts a plan of traffic as persistently as Meta would, and keeps every answer.

Anything but a 200, or no answer, is posted again, a few times with longer and longer pauses; Meta goes on for days.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from app.dev.simulator.traffic import Post
from app.web import HEADER, sign

PAUSES_SECONDS = (0.0, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # before each further try; after the last it is given up
ANSWER_SECONDS = 20  # Meta waits about as long
OK = 200
NO_ANSWER = 0  # in the place of an HTTP status
FORGED_SECRET = b"not the secret of the app"


@dataclass(frozen=True, slots=True)
class Try:
    """One request; times are Unix seconds of the sender's clock."""

    target: str
    began: float
    ended: float
    status: int  # NO_ANSWER where there was none


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a post: each of its tries."""

    post: Post
    tries: tuple[Try, ...]

    @property
    def acknowledged(self) -> bool:
        return bool(self.tries) and self.tries[-1].status == OK


@dataclass(frozen=True, slots=True)
class PostAddress:
    """Where to, under which app secret, and how fast: turns a second (0: as fast as it goes)."""

    url: str
    secret: bytes
    rate: float = 0.0
    concurrency: int = 16  # posts under way at a time


class Sender:
    """Sends posts side by side; ``stopping`` ends it early, with every post that was not sent unanswered."""

    def __init__(
        self, target: PostAddress, stopping: threading.Event, transport: httpx.BaseTransport | None = None
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
        tries: list[Try] = []
        for pause in (0.0, *PAUSES_SECONDS):
            if self._stopping.wait(pause):
                break
            tries.append(self._try(post.body, headers))
            if post.forged or tries[-1].status == OK:
                break
        answer = Answer(post, tuple(tries))
        if tries:
            answered(answer)
        return answer

    def _try(self, body: bytes, headers: dict[str, str]) -> Try:
        began = time.time()
        try:
            status = self._client.post(self._target.url, content=body, headers=headers).status_code
        except httpx.HTTPError:
            status = NO_ANSWER
        return Try(self._target.url, began, time.time(), status)


def progress_bar(console: Console) -> Progress:
    """A bar that counts posts."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
    )
