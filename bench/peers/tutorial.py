"""The pipeline of the tutorials: Flask, ``task.delay(raw)``, a Celery worker."""

import os

from celery import Celery
from flask import Flask, request

from bench.peers import items

queue = Celery("tutorial", broker=os.environ.get("PEER_BROKER_URL"))
queue.conf.task_ignore_result = True
queue.conf.broker_connection_retry_on_startup = True
app = Flask(__name__)


@app.post("/webhook")
def receive() -> tuple[str, int]:
    raw = request.get_data()
    if not items.signed(raw, request.headers.get("X-Hub-Signature-256", "")):
        return "", 401
    process.delay(raw.decode())
    return "", 200


@queue.task
def process(raw: str) -> None:
    items.handle(raw)
