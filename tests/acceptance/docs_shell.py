"""A second terminal beside a running ``make run``, in which somebody types what the docs show."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
from playwright.sync_api import expect

from app.web import HEADER, sign
from tests.browser import chromium
from tests.unit.shell_blocks import beside_a_pipeline

SECRET = "neverdrop-development-secret"
WAIT_SECONDS = 60
MAKE = '#!/bin/sh\n[ "$*" = run ] && printf %s "$HANDLERS" > started-with\n'


class DocsShell:
    """A directory like a clone's, and bash in it: ports are those of the pipeline that runs, ids what exists."""

    def __init__(self, path: Path, flower_port: int) -> None:
        self.path = path
        self._flower_port = flower_port
        self._port = 0
        self._environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        (path / ".venv").symlink_to(sys.prefix)
        self.not_typed = {
            str(block): block.text
            for page in ("README.md", "docs/quickstart.md", "docs/operations.md")
            for block in beside_a_pipeline(page)
        }

    def write_the_handler(self) -> str:
        """Type the block that writes a handler and starts with it; what HANDLERS was then."""
        make = self.path / "make"
        make.write_text(MAKE, encoding="utf-8")
        make.chmod(0o755)
        self._run_in_bash(self._take("mybot.py"), PATH=f"{self.path}{os.pathsep}{self._environment['PATH']}")
        return (self.path / "started-with").read_text(encoding="utf-8")

    def stand_beside(self, data: Path, port: int) -> None:
        (self.path / ".neverdrop").symlink_to(data)
        self._port = port

    def type_the_rest(self) -> None:
        """Type every other block, where each says what it should."""
        first, trace = self._take("wamid...").splitlines()
        wamid = self._run_in_bash(first).split()[-1]
        assert "received" in self._run_in_bash(trace.replace("wamid...", wamid))
        assert "neverdrop trace wamid" in self._run_in_bash(self._take("simulate --messages 1"))
        assert " done" in self._until(" done", ".venv/bin/neverdrop", "trace", wamid)
        answered = self._run_in_bash(self._take("openssl dgst"))
        assert "HTTP/1.1 200" in answered
        assert "received" in answered
        assert "nothing found" in self._run_in_bash(self._take("doctor --meta --deliver"))
        dead = json.loads(self._until('"id"', *self._make_a_dead_letter()))
        retry = self._take("retry_dead_letter").replace("[17]", f"[{dead['id']}]")
        assert "task-id" in self._run_in_bash(retry)

    def write_in_the_browser(self, url: str, answer: str) -> None:
        """Write "tea" on the page where one is the customer, and see the answer; only CI must have a Chromium."""
        if chromium.path() is None and os.environ.get("CI") != "true":
            return
        with chromium.browser() as browser:
            page = browser.new_page()
            page.goto(url)
            page.get_by_label("Message", exact=True).fill("tea")
            page.get_by_label("Message", exact=True).press("Enter")
            expect(page.locator("#chat")).to_contain_text(answer, timeout=WAIT_SECONDS * 1000)

    def _make_a_dead_letter(self) -> list[str]:
        """Post a signed body that cannot be read; the command that shows what became of it."""
        body = b"no JSON"
        url = f"http://127.0.0.1:{self._port}/webhook"
        httpx.post(url, content=body, headers={HEADER: sign(body, SECRET.encode())}, trust_env=False)
        return [".venv/bin/neverdrop", "dead", "list", "--json"]

    def _take(self, part: str) -> str:
        """The next block with ``part``, which is typed now."""
        return self.not_typed.pop(next(where for where, text in self.not_typed.items() if part in text))

    def _run_in_bash(self, text: str, **environment: str) -> str:
        for port, real in {":8000": self._port, ":5555": self._flower_port}.items():
            text = text.replace(port, f":{real}")
        return self._run(["bash", "-euo", "pipefail", "-c", text], **environment)

    def _until(self, wanted: str, *command: str) -> str:
        """What the command prints, once it has this in it."""
        deadline = time.monotonic() + WAIT_SECONDS
        while wanted not in (printed := self._run(list(command))):
            assert time.monotonic() < deadline, printed
            time.sleep(0.1)
        return printed

    def _run(self, command: list[str], **environment: str) -> str:
        run = subprocess.run(
            command, cwd=self.path, env=self._environment | environment,
            capture_output=True, text=True, timeout=WAIT_SECONDS, check=False,
        )  # fmt: skip
        assert run.returncode == 0, (command, run.stdout, run.stderr)
        return run.stdout
