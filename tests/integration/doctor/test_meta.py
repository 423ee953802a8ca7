"""What is set up wrongly at Meta is named, one by one, and put right by ``neverdrop connect``."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from app import doctor
from app.dev.graph import MISCONFIGURATIONS
from app.dev.graph.app_setup import APP, ELSEWHERE
from app.doctor import Finding, Outside, handshake, meta
from app.stores import engine, redis
from config.settings import Settings, settings
from tests.conftest import VERIFY_TOKEN
from tests.helpers.callback import callback_url
from tests.helpers.graph import GraphStandIn, graph_stand_in
from tests.integration.cli.support import run


@pytest.fixture
def url() -> Iterator[str]:
    with callback_url(VERIFY_TOKEN) as found:
        yield found


@pytest.fixture
def graph(url: str, env: Callable[..., Settings]) -> Iterator[GraphStandIn]:
    """A stand-in at which everything is set up well."""
    with graph_stand_in() as stand_in:
        stand_in.setup = replace(stand_in.setup, callback_url=url)
        env(
            WHATSAPP_API_URL=stand_in.url,
            WHATSAPP_ACCESS_TOKEN="EAA",
            HANDLERS="tests.acceptance.handlers_recorded",
        )
        yield stand_in


def findings(url: str | None = None) -> list[Finding]:
    wanted = Outside(meta=True, url=url)
    found = doctor.everything(settings(), engine(), redis(), wanted, lambda _: None)
    return [each for each in found if each.check.startswith("meta_") or each.check == "unsigned"]


def names(url: str | None = None) -> set[str]:
    return {each.check for each in findings(url)}


def test_a_healthy_setup_has_no_finding(graph: GraphStandIn, url: str) -> None:
    assert findings() == []
    assert findings(url) == []


@pytest.mark.parametrize("name", MISCONFIGURATIONS)
def test_each_misconfiguration_is_named_and_nothing_else(graph: GraphStandIn, url: str, name: str) -> None:
    graph.setup = MISCONFIGURATIONS[name](graph.setup)
    found = findings(url)
    assert {each.check for each in found} == {name}
    assert all(each.what and each.why and each.fix for each in found)


def test_ten_at_once_are_ten_findings(graph: GraphStandIn, url: str) -> None:
    together = ["meta_override", "meta_fields", "meta_subscribed_app", "meta_other_apps", "meta_live", "meta_scopes",
                "meta_quality", "meta_number", "meta_throughput"]  # fmt: skip
    setup = graph.setup
    for name in together:
        setup = MISCONFIGURATIONS[name](setup)
    graph.setup = replace(setup, subscribed=("111111111111111",), override="", number_override=ELSEWHERE)
    assert names("https://bot.example/webhook") == {*together, "meta_callback_url", "meta_handshake"}


def test_a_callback_url_that_has_another_verify_token_is_named(
    graph: GraphStandIn, env: Callable[..., Settings]
) -> None:
    env(WHATSAPP_VERIFY_TOKEN="another-verify-token")
    (finding,) = findings()
    assert (finding.check, "another WHATSAPP_VERIFY_TOKEN" in finding.what) == ("meta_handshake", True)


def test_a_token_that_expires_soon_is_named(graph: GraphStandIn) -> None:
    graph.setup = replace(graph.setup, expires_at=1)
    assert names() == {"meta_token"}


def test_a_graph_that_is_away_is_one_finding(graph: GraphStandIn, env: Callable[..., Settings]) -> None:
    env(WHATSAPP_API_URL="http://127.0.0.1:9")
    assert names() == {"meta_token"}


@pytest.mark.parametrize(
    ("version", "day", "level"),
    [
        ("v26.0", date(2028, 1, 1), None),
        ("v21.0", date(2026, 10, 1), None),
        ("v21.0", date(2026, 11, 29), "advice"),
        ("v21.0", date(2027, 1, 21), "problem"),
        ("v12.0", date(2026, 11, 29), "problem"),
    ],
)
def test_a_version_is_named_90_days_before_it_ends(version: str, day: date, level: str | None) -> None:
    assert [each.level for each in meta.version(version, day)] == ([level] if level else [])


# neverdrop connect


def test_connect_says_what_it_will_set_and_sets_nothing_in_a_dry_run(graph: GraphStandIn, url: str) -> None:
    graph.setup = before = replace(
        graph.setup, callback_url=ELSEWHERE, fields=("account_update",), subscribed=()
    )
    result = run("connect", "--url", url, "--dry-run")
    assert result.exit_code == 0, result.output
    assert (
        f"would set: app {APP} Stand-in: callback URL {url}, fields account_update,messages" in result.output
    )
    assert "subscribe the app" in result.output
    assert VERIFY_TOKEN not in result.output
    assert graph.setup == before


def test_connect_puts_right_what_the_doctor_named_and_then_finds_nothing_to_set(
    graph: GraphStandIn, url: str
) -> None:
    graph.setup = replace(
        graph.setup, callback_url=ELSEWHERE, fields=("account_update",), subscribed=(APP,), override=ELSEWHERE
    )
    assert {"meta_callback_url", "meta_fields", "meta_override"} <= names(url)
    assert run("connect", "--url", url, "--yes").exit_code == 0
    assert findings(url) == []
    assert graph.setup.fields == ("account_update", "messages")
    again = run("connect", "--url", url)
    assert (again.exit_code, again.output) == (0, "Meta has it so already: nothing to set\n")


def test_connect_from_nothing(graph: GraphStandIn, url: str) -> None:
    graph.setup = replace(graph.setup, callback_url="", subscribed=())
    (app, account) = (json.loads(line) for line in run("connect", "--url", url, "--json").stdout.splitlines())
    assert (app["path"], account["path"]) == (f"{APP}/subscriptions", "102290129340398/subscribed_apps")
    assert findings(url) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"valid": False}, "set WHATSAPP_ACCESS_TOKEN to one that works"),
        ({"secret": "another"}, "WHATSAPP_APP_SECRET must be this app's"),
        ({"scopes": ()}, "the token names no account"),
    ],
)
def test_connect_says_what_it_lacks(graph: GraphStandIn, url: str, change: dict[str, Any], said: str) -> None:
    graph.setup = before = replace(graph.setup, **change)
    result = run("connect", "--url", url, "--yes")
    assert (result.exit_code, said in result.output) == (1, True), result.output
    assert graph.setup == before


def test_connect_tries_the_address_before_meta_does(graph: GraphStandIn) -> None:
    result = run("connect", "--url", "http://127.0.0.1:9/webhook")
    assert result.exit_code == 1
    assert "does not answer as Meta needs it" in result.output
    assert run("connect", "--url", "ftp://x").exit_code == 2


class Endless(BaseHTTPRequestHandler):
    """Something else at the callback URL, whose answer does not end."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(b"x" * 65_536)

    def log_message(self, *_: object) -> None:
        """Silent."""


def test_an_answer_that_does_not_end_is_no_handshake() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        problem = handshake(f"http://127.0.0.1:{server.server_port}/webhook", VERIFY_TOKEN)
        server.shutdown()
    assert problem == "200, but not with the challenge: is it another program?"
