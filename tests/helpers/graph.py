"""A stand-in for Meta in a thread of the test's own process, and what it was sent."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port

from app.dev.graph import AppSetup, Faults, StandIn, Webhooks, application
from tests.helpers.factories import APP_SECRET

NOWHERE = "http://127.0.0.1:9/webhook"  # the port of discard: statuses reach nobody


class GraphStandIn:
    """The stand-in, its address, and the messages of the bot that it took."""

    def __init__(self, stand_in: StandIn, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self._stand_in = stand_in
        self._loop = loop
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    @property
    def posts(self) -> int:
        """How many requests came, whatever became of them."""
        return self._stand_in.posts

    @property
    def read_marks(self) -> int:
        """How many read marks and typing indicators came."""
        return self._stand_in.read_marks

    @property
    def sent(self) -> list[dict[str, Any]]:
        """What was taken, in order: id, user, number, message, callback, status."""
        return [each for each in self._stand_in.chats.after(0) if each["from_bot"]]

    @property
    def texts(self) -> list[str]:
        """The texts that were taken, in order."""
        return [each["message"]["text"]["body"] for each in self.sent if each["message"]["type"] == "text"]

    def add_media(self, content: bytes, mime_type: str) -> str:
        """Keep a file that a user sent; its id."""
        return self._stand_in.chats.add_media(content, mime_type)

    def announced(self, media_id: str) -> str:
        """The checksum of a file as a webhook has it."""
        return self._stand_in.chats.media[media_id].announced

    def report_to(self, webhook_url: str) -> None:
        """Report statuses to this webhook from now on."""
        self._stand_in.webhooks = Webhooks(webhook_url, APP_SECRET)
        self.set_faults()

    def report_by(self, webhooks: Any) -> None:
        """Report statuses by this from now on, which has a ``status`` as ``Webhooks`` has."""
        self._stand_in.webhooks = webhooks

    @property
    def setup(self) -> AppSetup:
        """How the app is set up at the stand-in."""
        return self._stand_in.setup

    @setup.setter
    def setup(self, setup: AppSetup) -> None:
        self._stand_in.setup = setup

    def set_faults(self, **faults: Any) -> None:
        """Let it do these things wrong from now on, and nothing else."""
        self._stand_in.faults = Faults().changed(faults)


@contextmanager
def graph_stand_in(webhook_url: str = NOWHERE) -> Iterator[GraphStandIn]:
    """Run a stand-in that reports statuses to a webhook; without one it reports none."""
    loop = asyncio.new_event_loop()
    stand_in = StandIn(webhook_url, APP_SECRET)
    if webhook_url == NOWHERE:
        stand_in.faults = Faults(no_status=True)
    socket, port = bind_unused_port(address="127.0.0.1")
    begun = threading.Event()

    async def serve() -> None:
        server = HTTPServer(application(stand_in))
        server.add_socket(socket)
        begun.set()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(serve())
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    begun.wait()
    try:
        yield GraphStandIn(stand_in, port, loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
