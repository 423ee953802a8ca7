"""The product on a Valkey whose only user is that of docs/deploy/valkey.acl; and what that user may not do."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import httpx
import pytest
import yaml
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError
from sqlalchemy import text

from app.dev.processes import Records, end
from app.dev.stack.embedded import DURABLE, Server, _valkey_answers, free_port, launch, valkey
from app.stores.connections import engine
from config.settings import settings
from tests.helpers import factories as f
from tests.helpers import services
from tests.helpers.stack import Stack

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "deploy" / "valkey.acl"
PASSWORD = "password-of-neverdrop"
LOGIN = ("ada", "password-of-ada")
DANGEROUS = """
FLUSHALL; KEYS *; SHUTDOWN; CONFIG SET dir /tmp; CONFIG REWRITE; REPLICAOF a 1; MODULE LIST; ACL LIST; MONITOR;
CLIENT LIST; CLIENT KILL ID 1; SAVE; BGREWRITEAOF; MIGRATE a 1 k 0 1; FUNCTION LIST; SWAPDB 0 1; SLOWLOG GET;
SCRIPT FLUSH; RESTORE k 0 x; SORT k
"""
HANDLERS = "tests.hostile.handlers"
PAGES = (
    "/broker",
    "/api/workers?refresh=1",
    "/api/queues/length",
    "/pipeline/numbers",
    "/dead-letters/table",
)


def rules(password: str) -> str:
    """Return the file with the digest of a password in its place."""
    return FILE.read_text().replace("PASSWORD_SHA256", sha256(password.encode()).hexdigest())


def guarded_valkey(path: Path) -> Server:
    """Its one user may do what the file says."""
    acl = path / "users.acl"
    acl.write_text(rules(PASSWORD))
    server = valkey(path / "valkey", "unused", DURABLE | {"aclfile": str(acl)}, port=free_port())
    url = server.url.replace(":unused@", f"neverdrop:{PASSWORD}@")
    return replace(server, url=url, answers=lambda: _valkey_answers(url))


class GuardedStack(Stack):
    def valkey(self) -> Server:
        return guarded_valkey(self.path)


@pytest.fixture
def guarded(start_stack: Callable[..., Stack]) -> Stack:
    return start_stack(
        kind=GuardedStack, senders=1, HANDLERS=HANDLERS, SWEEP_GRACE_SECONDS="1", CLAIM_LEASE_SECONDS="2"
    )


def dead() -> int:
    with engine().connect() as connection:
        found = connection.execute(text("SELECT count(*) FROM event_jobs WHERE state = 'dead'")).scalar()
    return int(found or 0)


def neverdrop(*words: str) -> None:
    code = "from app.cli import main; main()"
    result = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert "NOPERM" not in result.stdout + result.stderr
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_product_works_with_the_rights_of_the_file_and_none_is_missing(guarded: Stack) -> None:
    for number in range(1, 4):
        assert guarded.post(
            f.body(f.messages(f.text_message("key_error", number=number, sender=number)))
        ).is_success
    guarded.wait_until(lambda: dead() == 3, what="three dead letters")
    flower = guarded.start_flower(":".join(LOGIN))
    with httpx.Client(base_url=flower, auth=LOGIN, trust_env=False, timeout=60) as client:
        for path in PAGES:
            assert client.get(path).status_code == 200, path
        guarded.wait_until(lambda: int(client.get("/api/queues/length").text.count("dead_letters")) > 0)
        assert client.post("/dead-letters/retry", json={"ids": [1]}).json()["changed"] == [1]
    phone = f.phone(3)
    for words in (["status"], ["dead", "retry", "2"], ["held", "list"], ["pause", phone], ["resume", phone],
                  ["dead", "list"], ["trace", f.wamid(1)]):  # fmt: skip
        neverdrop(*words)
    assert "neverdrop_up" in guarded.get("/metrics").text
    client_of_it = Redis.from_url(settings().redis_url)
    refused = client_of_it.info("stats")["acl_access_denied_cmd"]
    client_of_it.close()
    assert refused == 0
    assert "NOPERM" not in guarded.log()


def test_whoever_has_the_password_cannot_do_more_and_nobody_else_gets_in() -> None:
    with services.directory() as path:
        server = guarded_valkey(path)
        running = launch(server, Records(path / "records"), path)
        try:
            client = Redis.from_url(server.url)
            for command in DANGEROUS.split(";"):
                with pytest.raises(NoPermissionError):
                    client.execute_command(*command.split())  # type: ignore[no-untyped-call]
            client.close()
            for other in (
                server.url.replace(f"neverdrop:{PASSWORD}@", ":unused@"),
                server.url.replace(PASSWORD, "wrong"),
                server.url.replace(f"neverdrop:{PASSWORD}@", ""),
            ):
                with Redis.from_url(other) as stranger, pytest.raises(AuthenticationError):
                    stranger.ping()
        finally:
            end([running])


def test_compose_gives_valkey_the_same_rules() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    content = compose["configs"]["valkey_acl"]["content"]
    given = content.replace(">${VALKEY_PASSWORD:?set VALKEY_PASSWORD}", "#PASSWORD_SHA256")
    assert given.split() == FILE.read_text().split()
    assert "--aclfile" in compose["services"]["valkey"]["command"]
