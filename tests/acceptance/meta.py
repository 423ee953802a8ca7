"""Posts as Meta does: several at a time, and again what was not answered with 200."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import httpx

from tests.acceptance.traffic import Item
from tests.helpers.factories import Json, signed

SENDERS = 8
REQUEST_SECONDS = 20  # as long as Meta waits


class Meta:
    """Posts to one webhook, from several threads."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/webhook"
        self._client = httpx.Client(timeout=REQUEST_SECONDS, trust_env=False)
        self._senders = ThreadPoolExecutor(SENDERS)

    def close(self) -> None:
        self._senders.shutdown(cancel_futures=True)
        self._client.close()

    def post(self, content: Json | bytes) -> int | None:
        """The answer's status, None where there was none."""
        request = signed(content)
        try:
            answer = self._client.post(self._url, content=request.body, headers=request.headers)
        except httpx.TransportError:
            return None
        return answer.status_code

    def begin(self, content: Json | bytes) -> "Future[int | None]":
        """Post in the background."""
        return self._senders.submit(self.post, content)

    def post_all(self, sent: Iterable[Item]) -> list[Item]:
        """Post each once, those of one user in turn; returns those that were not answered with 200."""
        by_user: dict[int, list[Item]] = {}
        for each in sent:
            by_user.setdefault(each.user, []).append(each)
        refused = self._senders.map(self._post_in_turn, by_user.values())
        return [each for some in refused for each in some]

    def _post_in_turn(self, sent: Sequence[Item]) -> list[Item]:
        return [each for each in sent if self.post(each.content) != 200]

    @contextmanager
    def flow(self, make: Callable[[], Item], every_seconds: float) -> Iterator[list[Item]]:
        """Post a new item every so often while the block runs, each until it is answered with 200; yields those."""
        accepted: list[Item] = []
        over = threading.Event()

        def post() -> None:
            while not over.wait(every_seconds):
                sent = make()
                while self.post(sent.content) != 200:
                    over.wait(every_seconds)
                accepted.append(sent)

        thread = threading.Thread(target=post, daemon=True)
        thread.start()
        try:
            yield accepted
        finally:
            over.set()
            thread.join(REQUEST_SECONDS)
