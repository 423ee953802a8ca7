"""Posts a plan as persistently as Meta: anything but a 200, or no answer, is posted again later."""

import heapq
import itertools
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import httpx

from app.dev.judge import Entry
from app.dev.simulator import NO_ANSWER, OK, Try
from tests.chaos.bodies import Post
from tests.helpers.factories import signed

ANSWER_SECONDS = 20  # Meta waits about as long
PAUSES_SECONDS = (0.0, 0.5, 1.0, 2.0)  # before each further try; the last goes on for ever
SENDERS = 200  # a stopped web holds each of its requests for ANSWER_SECONDS


class Sender:
    """Sends from threads of its own; ``entries`` is the ledger, in the order of the plan."""

    def __init__(self, posts: Sequence[Post], urls: Mapping[str, str]) -> None:
        self._posts = list(posts)
        self.entries = [Entry(post.events) for post in posts]
        self.open = len(self.entries)  # posts that have no 200 yet
        self._urls = dict(urls)
        self._webs = sorted(urls)
        self._due: list[tuple[float, int, int]] = []  # Unix time, a tie-breaker, the number of the entry
        self._ties = itertools.count()
        self._changed = threading.Condition()
        self._over = False
        self._client = httpx.Client(
            timeout=ANSWER_SECONDS,
            limits=httpx.Limits(max_connections=SENDERS, max_keepalive_connections=SENDERS),
            trust_env=False,
        )
        self._pool = ThreadPoolExecutor(SENDERS, thread_name_prefix="sender")
        self._clock = threading.Thread(target=self._run, name="sender-clock", daemon=True)

    def begin(self, start: float) -> None:
        """Send each post at ``start`` (Unix time) and its own time after it."""
        for number, post in enumerate(self._posts):
            heapq.heappush(self._due, (start + post.at, next(self._ties), number))
        self._clock.start()

    def add(self, post: Post) -> None:
        """Send one more at once."""
        with self._changed:
            self._posts.append(post)
            self.entries.append(Entry(post.events))
            self.open += 1
            heapq.heappush(self._due, (time.time(), next(self._ties), len(self.entries) - 1))
            self._changed.notify()

    def end(self) -> None:
        """Send nothing any more, and wait for what is under way."""
        with self._changed:
            self._over = True
            self._changed.notify()
        if self._clock.is_alive():
            self._clock.join()
        self._pool.shutdown(cancel_futures=True)
        self._client.close()

    def _run(self) -> None:
        while True:
            with self._changed:
                number = self._next()
                if self._over:
                    return
            if number is not None:
                self._pool.submit(self._send, number)

    def _next(self) -> int | None:
        """The next entry that is due; None after a wait that brought none."""
        wait = self._due[0][0] - time.time() if self._due else None
        if wait is not None and wait <= 0:
            return heapq.heappop(self._due)[2]
        self._changed.wait(wait)
        return None

    def _send(self, number: int) -> None:
        post, entry = self._posts[number], self.entries[number]
        web = self._webs[(post.web + len(entry.tries)) % len(self._webs)]
        request = signed(post.body)
        began = time.time()
        try:
            status = self._client.post(
                self._urls[web], content=request.body, headers=request.headers
            ).status_code
        except httpx.HTTPError:
            status = NO_ANSWER
        entry.tries.append(Try(web, began, time.time(), status))
        with self._changed:
            if status == OK:
                self.open -= 1
            else:
                pause = PAUSES_SECONDS[min(len(entry.tries), len(PAUSES_SECONDS)) - 1]
                heapq.heappush(self._due, (time.time() + pause, next(self._ties), number))
            self._changed.notify()
