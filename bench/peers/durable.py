"""Flask that answers 200 once Redis has the body on disk, by one LPUSH: the limit of what waits for a disk.

It stands on Neverdrop's own server and connection, and checks, names and tells nobody anything.
"""

import asyncio
from functools import cache
from typing import Any

import hiredis
from flask import Flask, Response
from flask.globals import request_ctx

from app.intake.pinned_connection import PinnedConnection
from app.stores.connections import web_connection
from app.web.gateway import Gateway, deferred

app = Flask(__name__)
STORED = Response("", 200)


class Queue:
    """One write at a time, over one connection."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._connection: PinnedConnection | None = None

    async def push(self, body: bytes) -> Response:
        """200, after the write is on disk."""
        async with self._turn:
            if self._connection is None:
                connection = web_connection()
                await connection.connect()  # type: ignore[no-untyped-call]
                self._connection = PinnedConnection(connection)
            command: Any = ("LPUSH", "bodies", body)
            await self._connection.integer(hiredis.pack_command(command))
        return STORED


@cache
def queue() -> Queue:
    """The process's own."""
    return Queue()


@app.post("/webhook")
def receive() -> Response:
    post = request_ctx.request
    return deferred(post, queue().push(post.environ["wsgi.input"].read()))


gateway = Gateway(app, on_loop=[("POST", "/webhook")], max_bytes=1024 * 1024)
