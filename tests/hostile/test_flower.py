"""Attacks on Flower: credentials that two parsers read differently, roles, forged events, bodies, guesses."""

import json
import re
import socket
from base64 import b64encode
from collections.abc import Callable, Iterator
from typing import Any

import flower.urls
import httpx
import pytest
from structlog.testing import capture_logs
from tornado.web import url

from app.flower import application
from app.flower.gate import MAX_REFUSED_BODY, POLICY
from app.flower.login_guard import FREE_FAILURES, LoginGuard
from app.handlers import Context, Event
from config.settings import Settings
from tests.helpers import factories as f
from tests.helpers.core import Core, text_body
from tests.helpers.flower import ADA, GRACE, Page, flower_page
from tests.helpers.waiting import until

pytestmark = pytest.mark.core(messages="failing", broken=("one",), max_attempts=1)

PATIENCE_SECONDS = 30
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
GRACES = b64encode(":".join(GRACE).encode()).decode()
AMBIGUOUS_CREDENTIALS = {
    "a tab": f"Basic\t{GRACES}".encode(),
    "a no-break space": f"Basic\xa0{GRACES}".encode("latin-1"),
    "two spaces": f"Basic  {GRACES}".encode(),
    "white space inside": f"Basic {GRACES[:8]} {GRACES[8:]}".encode(),
    "white space at the end": f"Basic {GRACES}\x0b".encode(),
    "a byte beyond ASCII": f"Basic {GRACES}\xe9".encode("latin-1"),
    "base64 of bytes beyond ASCII": b"Basic " + b64encode("grace:pässword".encode()),
    "base64 of bytes that are no UTF-8": b"Basic " + b64encode(b"grace:\xff\xfe"),
    "another case": f"basic {GRACES}".encode(),
    "another scheme": f"Bearer {GRACES}".encode(),
    "two credentials": f"Basic {GRACES}, Basic {GRACES}".encode(),
    "no password": b"Basic " + b64encode(b"grace"),
    "nothing": b"",
    "the scheme alone": b"Basic",
    "a null": f"Basic {GRACES}\x00".encode(),
    "signs that a lax decoder skips": f"Basic {GRACES[:4]}*!{GRACES[4:]}".encode(),
}


def stock_routes() -> list[str]:
    """Return a path of each of Flower's routes and of ours, by their patterns."""
    patterns = [
        each.regex.pattern if isinstance(each, url) else each[0]
        for each in [*flower.urls.handlers, *application.HANDLERS]
    ]
    return sorted(GROUP.sub(_example, pattern).rstrip("$/?") for pattern in {*patterns} if pattern != ".*")


def _example(group: re.Match[str]) -> str:
    """Return what a group of a pattern matches."""
    words = group[1].split("|")
    return "1" if group[1] == r"\d+" else words[0] if words[0].isidentifier() else "x"


GROUP = re.compile(r"\(([^()]+)\)")
OPEN = ("/healthcheck", "/static/x", "/neverdrop/x", "/login", "/logout")
READ_BY_POST = (
    "/tasks/datatable", "/dead-letters/count", "/held/count", "/held/table", "/dead-letters/table",
    "/conversations/find",
)  # fmt: skip
ROUTES = [path or "/" for path in stock_routes()]


@pytest.fixture
def read_only_grace(env: Callable[..., Settings]) -> None:
    env(FLOWER_READ_ONLY_USERS="grace")


@pytest.fixture
def page(core: Core) -> Iterator[Page]:
    with flower_page() as opened:
        yield opened


def send(page: Page, request: bytes) -> bytes:
    """Send bytes as they are; what is answered until the connection ends or a whole head has come."""
    host, port = page.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE_SECONDS) as client:
        client.sendall(request)
        answer = b""
        while b"\r\n\r\n" not in answer and (part := client.recv(65_536)):
            answer += part
    return answer


def dead(core: Core) -> int:
    core.ingest(text_body("one"))
    core.run()
    return int(core.event("one").id)


# Who somebody is


@pytest.mark.parametrize("odd", AMBIGUOUS_CREDENTIALS.values(), ids=AMBIGUOUS_CREDENTIALS)
def test_a_credential_that_could_be_read_in_two_ways_is_nobodys(
    read_only_grace: None, core: Core, page: Page, odd: bytes
) -> None:
    body = b'{"args": [[]]}'
    for path in (b"/api/task/send-task/ingest", b"/api/worker/shutdown/x"):
        answer = send(
            page,
            b"POST %b HTTP/1.1\r\nHost: here\r\nAuthorization: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (path, odd, len(body), body),
        )
        assert answer.startswith((b"HTTP/1.1 401", b"HTTP/1.1 400")), answer
    assert core.redis.llen("webhooks") == 0


def test_two_headers_with_credentials_are_nobodys(core: Core, page: Page) -> None:
    for first, second in ((ADA, GRACE), (GRACE, GRACE)):
        headers = b"".join(
            b"Authorization: Basic %b\r\n" % b64encode(":".join(each).encode()) for each in (first, second)
        )
        answer = send(page, b"GET /dead-letters HTTP/1.1\r\nHost: here\r\n" + headers + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 401")


def test_a_password_beyond_ascii_logs_in_and_a_wrong_one_does_not(core: Core) -> None:
    with flower_page(basic_auth=["ada:pässwörd"]) as page:
        right = b64encode("ada:pässwörd".encode())
        for credential, status in ((right, b"200"), (b64encode("ada:pässwört".encode()), b"401")):
            answer = send(
                page, b"GET /dead-letters HTTP/1.1\r\nHost: a\r\nAuthorization: Basic %b\r\n\r\n" % credential
            )
            assert answer.startswith(b"HTTP/1.1 " + status)


def test_no_route_is_open_without_the_login(core: Core, page: Page) -> None:
    nobody = page.as_user(None)
    for path in ROUTES:
        for method in ("GET", "HEAD", "OPTIONS", *UNSAFE):
            status = nobody.client.request(method, page.url + path).status_code
            assert status == 401 or path in OPEN, (method, path, status)


def acting(page: Page) -> list[tuple[str, str, int]]:
    """Return each unsafe request that was not refused: method, path, status."""
    answers = [
        (method, path, page.client.request(method, page.url + path).status_code)
        for path in ROUTES
        for method in UNSAFE
        if not (method == "POST" and path in READ_BY_POST)
    ]
    # 405: nothing there takes that method
    return [
        each for each in answers if each[2] not in (403, 405) and not (each[1] in OPEN and each[2] == 404)
    ]


def test_no_route_acts_for_a_read_only_user(read_only_grace: None, core: Core, page: Page) -> None:
    assert acting(page.as_user(GRACE)) == []


def test_without_a_login_no_route_acts_for_anybody(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLOWER_UNAUTHENTICATED_API", "true")
    with flower_page(basic_auth=None) as page:
        assert acting(page) == []


# What somebody may do


STOCK_ACTIONS = (
    "/api/worker/shutdown/x", "/api/worker/pool/grow/x", "/api/worker/queue/cancel-consumer/x?queue=conversations",
    "/api/task/rate-limit/x?workername=x&ratelimit=1", "/api/task/timeout/x?workername=x", "/api/task/revoke/x",
    "/api/task/abort/x",
)  # fmt: skip


@pytest.mark.parametrize("path", STOCK_ACTIONS)
def test_flowers_own_actions_need_the_role_administer(
    env: Callable[..., Settings], core: Core, path: str
) -> None:
    env(FLOWER_ROLES="ada:administer,grace:decide+reveal")
    with flower_page() as page:
        refused = page.as_user(GRACE).post(path)
        assert refused.status_code == 403
        assert "role administer" in refused.json()["error"]
        assert page.post(path).status_code != 403  # it reaches Flower's handler, which knows no such worker


def test_a_decision_needs_the_role_decide(env: Callable[..., Settings], core: Core) -> None:
    env(FLOWER_ROLES="ada:decide,*:reveal")
    id_ = dead(core)
    with flower_page() as page:
        refused = page.as_user(GRACE).post("/dead-letters/retry", {"ids": [id_]})
        assert refused.status_code == 403
        assert "role decide" in refused.json()["error"]
        assert page.post("/dead-letters/retry", {"ids": [id_]}).json()["changed"] == [id_]


def test_personal_data_needs_the_role_reveal(env: Callable[..., Settings], core: Core) -> None:
    env(FLOWER_ROLES="ada:decide,grace:reveal")
    id_ = dead(core)
    with flower_page() as page:
        for path in (
            "/dead-letters/table",
            f"/dead-letters/{id_}",
            "/conversation/1/events",
        ):
            answer = page.get(path, reveal="1")
            assert answer.status_code == 403, path
            assert "role reveal" in answer.json()["error"]
            assert page.get(path).status_code == 200
            assert page.as_user(GRACE).get(path, reveal="1").status_code == 200


def everywhere(core: Core) -> int:
    """Put a person into everything that a page shows; return the conversation's number."""
    core.on("message", "text", answer_and_fail, max_attempts=1)
    core.ingest(text_body("one"), text_body("quiet words"))
    core.run()
    core.ingest(text_body("waits"))
    lane = int(core.event("quiet words").lane)
    core.execute(
        "INSERT INTO dialogs (lane, changed_at, state) VALUES (:lane, now(), :state)",
        lane=lane, state=json.dumps({"address": "quiet words", "phone": f.phone(1)}),
    )  # fmt: skip
    core.execute(
        "UPDATE lanes SET paused_at = now(), paused_by = 'handler', paused_why = :why WHERE id = :lane",
        lane=lane, why=f"{f.phone(1)} wants a person: 'quiet words'",
    )  # fmt: skip
    return lane


def answer_and_fail(event: Event, ctx: Context) -> None:
    if event.text == "one":
        raise ValueError(f"no customer {event.sender} for {event.text!r}")
    ctx.reply(f"thank you for your quiet words, {event.item['from']}")


def test_no_route_shows_a_person_to_who_may_not_see_them(env: Callable[..., Settings], core: Core) -> None:
    env(FLOWER_ROLES="*:decide+administer+erase")
    lane = everywhere(core)
    named = (f.phone(1), f.user_id(1), f.wamid("one"), f.wamid("quiet words"), "quiet words")
    bodies: tuple[Any, ...] = (
        {},
        {"looked_for": ""},
        {"looked_for": f.phone(1)},
        {"filter": {}},
        {"choice": {}},
        {"ids": [1]},
    )
    seen = 0
    with flower_page() as page:
        for path in {path.replace("/1", f"/{lane}") for path in ROUTES} | {*ROUTES}:
            reads = path in READ_BY_POST or path.endswith(("/count", "/find"))
            answers = [page.get(path), page.get(path, reveal="1")]
            answers += [page.post(path, body) for body in bodies if reads]
            for answer in answers:
                seen += answer.status_code == 200
                assert [name for name in named if name in answer.text] == [], (path, answer.text)
    assert seen > len(ROUTES) // 2


@pytest.mark.parametrize("how", ["send-task", "async-apply", "apply"])
@pytest.mark.parametrize("task", ["ingest", "advance", "sweep_due", "no_such_task"])
def test_nobody_sends_another_task_than_the_retry(core: Core, page: Page, how: str, task: str) -> None:
    answer = page.post(f"/api/task/{how}/{task}", {"args": [[]]})
    assert answer.status_code == 403
    assert "retry_dead_letter" in answer.text
    assert [core.redis.llen(queue) for queue in ("webhooks", "conversations", "maintenance")] == [0, 0, 0]


# What is kept of it


def test_each_unsafe_request_is_logged_with_who_what_and_from_where(
    read_only_grace: None, core: Core, page: Page
) -> None:
    with capture_logs() as logs:
        page.as_user(GRACE).post("/api/worker/shutdown/x?why=49151123456789")
        page.post("/api/task/revoke/x")
        page.as_user(None).post("/dead-letters/retry")
        # The line is written after the answer
        until(lambda: len([line for line in logs if line["event"] == "flower.request"]) == 3)
    requests = [line for line in logs if line["event"] == "flower.request"]
    told = [(line["who"], line["method"], line["path"], line["address"]) for line in requests]
    assert told == [
        ("grace", "POST", "/api/worker/shutdown/x", "127.0.0.1"),
        ("ada", "POST", "/api/task/revoke/x", "127.0.0.1"),
        (None, "POST", "/dead-letters/retry", "127.0.0.1"),
    ]
    assert [line["status"] for line in requests][::2] == [403, 401]


def test_a_thousand_guesses_are_logged_and_slowed_down(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.flower.gate.LoginGuard", lambda: LoginGuard(clock=lambda: 1000.0))
    with flower_page() as page, capture_logs() as logs:
        eve = page.as_user(("ada", "guess"))
        statuses = [eve.get("/dead-letters").status_code for _ in range(1000)]
        assert int(eve.get("/dead-letters").headers["Retry-After"]) >= 1
    assert statuses == [401] * FREE_FAILURES + [429] * (1000 - FREE_FAILURES)
    failures = [line for line in logs if line["event"] == "flower.login_failed"]
    assert len(failures) == FREE_FAILURES
    assert {line["address"] for line in failures} == {"127.0.0.1"}


@pytest.mark.parametrize(
    ("path", "body", "name"),
    [
        ("/dead-letters/table", {"search": f.phone(1)}, "search"),
        ("/dead-letters/count", {"filter": {"search": f.phone(1)}}, "search"),
        ("/held/count", {"filter": {"conversation": f.phone(1)}}, "conversation"),
        ("/held/skip", {"filter": {"error": f.phone(1)}, "until": "2026-01-01", "reason": "x"}, "error"),
        ("/conversations/find", {"looked_for": f.phone(1)}, "looked_for"),
        ("/replays/count", {"choice": {"conversation": f.phone(1)}}, "conversation"),
    ],
)
def test_a_search_is_logged_once_with_who_and_not_what_for(
    core: Core, page: Page, path: str, body: dict[str, Any], name: str
) -> None:
    with capture_logs() as logs:
        for _ in range(3):
            page.as_user(GRACE).post(path, body)
    searched = [line for line in logs if line["event"] == "personal_data.searched"]
    assert [(line["who"], line["where"], line["filters"]) for line in searched] == [("grace", path, [name])]
    assert f.phone(1) not in str(logs)


# What a browser is told


def test_every_answer_has_the_headers_that_protect(core: Core, page: Page) -> None:
    nobody = page.as_user(None)
    answers = [
        answer
        for path in (*ROUTES, "/no/such/page")
        for answer in (page.get(path), nobody.get(path), page.post(path))
    ]
    for answer in answers:
        assert answer.headers["Content-Security-Policy"].startswith(POLICY)
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert "ornado" not in answer.headers["Server"]


def test_an_inline_script_of_flowers_has_a_nonce_of_its_own(core: Core, page: Page) -> None:
    nonces = set()
    for _ in range(2):
        answer = page.get("/workers")
        (nonce,) = {part.partition('"')[0] for part in answer.text.split('nonce="')[1:]}
        assert f"script-src 'self' 'nonce-{nonce}'" in answer.headers["Content-Security-Policy"]
        nonces.add(nonce)
    assert len(nonces) == 2


@pytest.mark.parametrize("forwarded", [{}, {"X-Forwarded-Proto": "https"}])
def test_cookies_are_for_this_site_and_behind_tls_for_tls(
    core: Core, page: Page, forwarded: dict[str, str]
) -> None:
    for path in ROUTES:
        user = page.as_user(ADA)  # whose browser has no cookie yet
        cookies = user.client.get(page.url + path, headers=forwarded).headers.get_list("Set-Cookie")
        assert cookies or path != "/dead-letters"
        for cookie in cookies:
            assert "SameSite=Lax" in cookie, path
            assert ("Secure" in cookie) == bool(forwarded), path


# What it reads


def test_a_body_before_the_login_is_not_read(core: Core, page: Page) -> None:
    head = b"POST /dead-letters/retry HTTP/1.1\r\nHost: here\r\nContent-Length: 94000000\r\n\r\n"
    assert send(page, head).startswith(b"HTTP/1.1 401")


def test_a_body_before_the_login_in_chunks_ends_the_connection(core: Core, page: Page) -> None:
    head = b"POST /dead-letters/retry HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%b\r\n" % (MAX_REFUSED_BODY, b"x" * MAX_REFUSED_BODY)
    assert not send(page, head + chunk + b"10\r\n").startswith(b"HTTP/1.1 2")


def test_a_user_who_is_logged_in_sends_no_larger_body_than_is_needed(core: Core, page: Page) -> None:
    credential = b64encode(":".join(ADA).encode())
    for path, size in ((b"/dead-letters/retry", 300_000), (b"/api/task/revoke/x", 100_000)):
        head = b"POST %b HTTP/1.1\r\nHost: here\r\nAuthorization: Basic %b\r\nContent-Length: %d\r\n\r\n"
        assert send(page, head % (path, credential, size)).startswith(b"HTTP/1.1 413"), path


def test_a_fault_of_the_program_shows_no_traceback_and_logs_no_query(
    core: Core, page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("app.flower.dead_letters.Facets.get", fail)
    with capture_logs() as logs:
        answer = httpx.get(f"{page.url}/dead-letters/facets?x=4915112345678", auth=ADA, trust_env=False)
    assert answer.status_code == 500
    assert "ZeroDivision" not in answer.text
    assert [line["event"] for line in logs] == ["flower.failed"]
    assert "4915112345678" not in str(logs)
