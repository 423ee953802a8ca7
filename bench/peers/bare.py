"""Flask that answers 200 and does nothing: the limit of what stands on Flask."""

from flask import Flask

from app.web.gateway import Gateway

app = Flask(__name__)


@app.post("/webhook")
def receive() -> tuple[str, int]:
    return "", 200


gateway = Gateway(app, on_loop=[("POST", "/webhook")], max_bytes=1024 * 1024)
