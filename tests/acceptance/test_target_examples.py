"""The receivers of ``examples/targets`` check signatures, and answer; each is skipped where its language is missing."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from app.dev.stack.embedded import free_port
from app.targets.signing import headers
from tests.helpers.targets import OLDER_SECRET, SECRET, target
from tests.helpers.waiting import until

EXAMPLES = Path(__file__).parents[2] / "examples" / "targets"
MAX_LINES = 40  # it has fewer
DEBIAN_MODULES = "/usr/share/nodejs"  # where apt-get install node-express puts Express
BODY = '{"type":"message.text","data":{"text":"grüße"}}'
COMMANDS: dict[str, Callable[[int], list[str]]] = {
    "node": lambda _port: ["node", "receiver.js"],
    "php": lambda port: ["php", "-S", f"127.0.0.1:{port}", "receiver.php"],
}


def node_environment() -> dict[str, str]:
    """Node finds packages beside a program, in NODE_PATH, and Debian's own where those are."""
    paths = [os.environ.get("NODE_PATH", ""), DEBIAN_MODULES]
    return {**os.environ, "NODE_PATH": os.pathsep.join(filter(None, paths))}


def skip_without(language: str) -> None:
    if shutil.which(language) is None:
        pytest.skip(f"{language} is not installed")
    find = ["node", "-e", 'require.resolve("express")']
    environment = node_environment()
    if (
        language == "node"
        and subprocess.run(find, cwd=EXAMPLES, env=environment, capture_output=True).returncode
    ):
        pytest.skip(
            "Node's package express is not installed: apt-get install node-express, or npm install express"
        )


@contextmanager
def running(language: str) -> Iterator[str]:
    port = free_port()
    environment = {**node_environment(), "TARGET_SECRET": SECRET, "PORT": str(port)}
    process = subprocess.Popen(
        COMMANDS[language](port),
        cwd=EXAMPLES,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}/hooks"
    try:
        until(lambda: answers(url))
        yield url
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.post(url, trust_env=False).status_code == 401
    except httpx.HTTPError:
        return False


def post(url: str, *secrets: str, now: datetime | None = None, body: str = BODY) -> httpx.Response:
    signed = headers(target(secret=list(secrets)), "evt_7_crm", BODY, now or datetime.now(UTC))
    signed.pop("Content-Length")
    return httpx.post(url, content=body.encode(), headers=signed, trust_env=False)


@pytest.mark.parametrize("language", COMMANDS)
def test_an_example_takes_what_is_signed_and_nothing_else(language: str) -> None:
    skip_without(language)
    with running(language) as url:
        assert post(url, SECRET).json() == {"replies": [{"text": "You said: grüße"}]}
        assert post(url, OLDER_SECRET, SECRET).status_code == 200  # while a secret is rotated
        assert post(url, OLDER_SECRET).status_code == 401
        assert post(url, SECRET, body=BODY.replace("grüße", "other")).status_code == 401
        assert post(url, SECRET, now=datetime.now(UTC) - timedelta(minutes=10)).status_code == 401


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("receiver.*")), ids=lambda path: path.name)
def test_an_example_is_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < MAX_LINES
