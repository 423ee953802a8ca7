"""Flask that answers 200 and does nothing: the limit of what stands on Flask."""

from flask import Flask

app = Flask(__name__)


@app.post("/webhook")
def receive() -> tuple[str, int]:
    return "", 200
