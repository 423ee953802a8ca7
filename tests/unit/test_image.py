"""The image and the package ship what they need, and nothing else."""

import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from celery.beat import Scheduler

from app.broker import NeverdropCelery
from config.settings import load
from tests.unit.dockerfile import ROOT, image_default, instructions


def test_the_image_copies_what_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for name, argument in instructions():
        if name == "COPY" and not argument.startswith("--from="):
            for source in argument.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in ignored, source
    assert "*" in ignored


def test_the_image_installs_the_lock_by_its_hashes() -> None:
    installed = [argument for name, argument in instructions() if name == "RUN" and " install " in argument]
    assert any("--require-hashes -r /src/requirements.lock" in argument for argument in installed)
    assert all("--require-hashes" in argument or "--no-deps" in argument for argument in installed)


def test_the_image_runs_as_nobody_special_and_holds_no_secret() -> None:
    users = [argument for name, argument in instructions() if name == "USER"]
    assert users
    assert users[-1] not in ("root", "0")
    assert not re.search(r"SECRET|TOKEN|PASSWORD|DSN", (ROOT / "Dockerfile").read_text(encoding="utf-8"))


class Health(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status if self.path == "/healthz" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  (the base class's name)
        """Nothing is printed."""


@pytest.fixture
def web() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Health)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False)])
def test_the_images_health_check_asks_the_web(
    web: HTTPServer, status: int, healthy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Health, "status", status)
    command = [sys.executable, *image_default("HEALTHCHECK")[1:]]
    done = subprocess.run(command, env={"PORT": str(web.server_port)}, check=False, capture_output=True)
    assert (done.returncode == 0) is healthy


def test_type_hints_and_licence_ship_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert (ROOT / "app" / "py.typed").is_file()
    assert "py.typed" in project["tool"]["setuptools"]["package-data"]["*"]
    assert project["project"]["license"] == "MIT"
    for name in project["project"]["license-files"]:
        assert "The Neverdrop authors" in (ROOT / name).read_text(encoding="utf-8")


def test_the_changelog_says_what_each_release_changed() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    version = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert version is not None
    assert headings[0] == "[Unreleased]"
    assert headings[1].startswith(f"[{version[1]}] - ")


def test_beat_keeps_no_file_that_another_user_could_plant() -> None:
    app = NeverdropCelery(load(neverdrop_env="development"), "test_ship", set_as_current=False)
    assert app.conf.beat_scheduler == "celery.beat.Scheduler"
    scheduler = Scheduler(app)
    assert set(scheduler.schedule) == set(app.conf.beat_schedule)
    for name in ("Procfile", "docker-compose.yml", "Dockerfile"):
        assert "/tmp/" not in (ROOT / name).read_text(encoding="utf-8"), name
