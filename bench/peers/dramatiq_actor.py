"""Flask and Dramatiq: ``process.send(raw)``."""

import os

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from flask import Flask, request

from bench.peers import items

dramatiq.set_broker(RedisBroker(url=os.environ["REDIS_URL"]))
app = Flask(__name__)


@app.post("/webhook")
def receive() -> tuple[str, int]:
    raw = request.get_data()
    if not items.signed(raw, request.headers.get("X-Hub-Signature-256", "")):
        return "", 401
    process.send(raw.decode())
    return "", 200


@dramatiq.actor(max_retries=3)  # type: ignore[untyped-decorator]
def process(raw: str) -> None:
    items.handle(raw)
