"""Flask and RQ: ``queue.enqueue(handle, raw)``."""

import os

from flask import Flask, request
from redis import Redis
from rq import Queue

from bench.peers import items

queue = Queue(connection=Redis.from_url(os.environ["REDIS_URL"]))
app = Flask(__name__)


@app.post("/webhook")
def receive() -> tuple[str, int]:
    raw = request.get_data()
    if not items.signed(raw, request.headers.get("X-Hub-Signature-256", "")):
        return "", 401
    queue.enqueue(items.handle, raw.decode(), result_ttl=0)
    return "", 200
