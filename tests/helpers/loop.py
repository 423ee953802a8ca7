"""The web's event loop for tests: in a thread of its own, so that a test waits for it as a client does."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from functools import cache
from typing import Any, TypeVar

from flask import Flask
from werkzeug.test import Client

from app.intake import primary_store
from app.intake.accept import Intake
from app.intake.primary_store import PrimaryStore
from app.web import process as web

PATIENCE_SECONDS = 60

T = TypeVar("T")


_starting = threading.Lock()  # threads that come first at the same time must not get a loop each


@cache
def _started() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="web-loop", daemon=True).start()
    return loop


def _loop() -> asyncio.AbstractEventLoop:
    with _starting:
        return _started()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """What it returns or raises, on the loop; for any thread but the loop's own."""
    return asyncio.run_coroutine_threadsafe(coroutine, _loop()).result(PATIENCE_SECONDS)


class Blocking:
    """An intake for callers in threads."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    def accept(self, body: bytes) -> None:
        run(self._intake.accept(body))


def client(app: Flask | None = None) -> Client:
    """Requests as the gateway serves them, one at a time for each thread that asks."""
    gateway = web.gateway(app or web.create_app())

    def serve(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        status, headers, content = run(gateway.answer(environ))
        start_response(f"{status} ", headers)
        return [content]

    return Client(serve)


def close(store: PrimaryStore = primary_store.store) -> None:
    """So that the next write connects to what is Redis then."""
    if store.is_open:
        run(store.close())
