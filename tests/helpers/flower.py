"""Our Flower in a thread of the test, on the test's stores: the application that the command builds, without a worker.

    with flower() as page:
        page.get("/dead-letters")

``page`` is a client that is logged in as ADA; ``page.as_user(...)`` is one that is somebody else.
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import flower.options
import flower.urls
import httpx
from celery import Celery
from tornado.ioloop import IOLoop
from tornado.web import create_signed_value

from app.flower.application import NeverdropFlower
from config.celery import celery_config
from config.settings import settings

ADA, GRACE = ("ada", "ada-password"), ("grace", "grace-password")
COOKIE_SECRET = "cookie-secret-of-a-test"
TIMEOUT_SECONDS = 30
JSON = {"Accept": "application/json"}
NO_TLS = False  # or each client reads every certificate of the machine, a hundred times the work of a request


@dataclass
class Page:
    """A client of one Flower."""

    url: str
    client: httpx.Client
    opened: ExitStack  # closes the clients at the end

    def get(self, path: str, **query: Any) -> httpx.Response:
        return self.client.get(self.url + path, params=query or None)

    def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """JSON, as our pages send it."""
        return self.client.post(
            self.url + path, json=body if body is not None else {}, headers=JSON | headers
        )

    def as_user(self, auth: tuple[str, str] | None, **cookies: str) -> "Page":
        client = httpx.Client(
            auth=auth, cookies=cookies, timeout=TIMEOUT_SECONDS, trust_env=False, verify=NO_TLS
        )
        return Page(self.url, self.opened.enter_context(client), self.opened)

    def as_mail(self, address: str) -> "Page":
        """Somebody whom an OAuth provider let in."""
        cookie = create_signed_value(COOKIE_SECRET, "user", address).decode()
        return self.as_user(None, user=cookie)


@contextmanager
def flower_page(**options: Any) -> Iterator[Page]:
    """Serve our Flower; ``options`` are Flower's own, with basic auth for ADA and GRACE unless they say otherwise."""
    known = flower.options.default_options.as_dict()
    ours = {"basic_auth": [":".join(ADA), ":".join(GRACE)], "port": 0, "address": "127.0.0.1"}
    given = SimpleNamespace(**(known | ours | options))
    ready, served = threading.Event(), SimpleNamespace(port=0, loop=None, error=None)
    thread = threading.Thread(target=_serve, args=(given, served, ready), daemon=True)
    thread.start()
    assert ready.wait(TIMEOUT_SECONDS)
    if served.error is not None:
        thread.join()
        raise served.error
    try:
        with ExitStack() as opened, httpx.Client(verify=NO_TLS) as nobody:
            anybody = Page(f"http://127.0.0.1:{served.port}", nobody, opened)
            yield anybody.as_user(ADA if given.basic_auth else None)
    finally:
        served.loop.add_callback(served.loop.stop)
        thread.join(TIMEOUT_SECONDS)


def _serve(options: Any, served: Any, ready: threading.Event) -> None:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    served.loop = IOLoop.current()
    try:
        application = _application(options, served.loop)
        served.port = application.start_http_server()
    except BaseException as error:  # SystemExit: it refused to start
        served.error = error
        ready.set()
        loop.close()
        return
    served.loop.add_callback(ready.set)
    served.loop.start()
    application.server.stop()
    loop.run_until_complete(application.server.close_all_connections())
    application.executor.shutdown()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def _application(options: Any, loop: IOLoop) -> NeverdropFlower:
    celery_app = Celery(set_as_current=False)
    celery_app.conf.update(celery_config(settings()))
    prefix = {"static_url_prefix": f"/{options.url_prefix}/static/"} if options.url_prefix else {}
    return NeverdropFlower(
        options=options,
        capp=celery_app,
        io_loop=loop,
        **flower.urls.settings | {"cookie_secret": COOKIE_SECRET} | prefix,
    )
