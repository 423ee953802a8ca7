"""What ships runs what `neverdrop up` runs, knows every setting, and refers to nothing that is not there."""

import os
import re
import shlex
import subprocess
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.cli.entry import COMMANDS
from app.dev.processes.children import Program
from app.dev.stack import programs as pipeline
from config.settings import Settings, load
from tests.unit.dockerfile import image_default

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ("migrate", "web", "ingest", "worker", "sender", "forwarder", "beat", "flower")
PROCESSES = ("web", "ingest", "worker", "sender", "forwarder", "beat", "flower")
EVERYWHERE = "0.0.0.0"
SOFT_SHUTDOWN = {"REMAP_SIGTERM": pipeline.CONSUMER_ENVIRONMENT["REMAP_SIGTERM"]}

PLATFORM = {"PORT", "WEB_CONCURRENCY"}
POSTGRES = {"POSTGRES_USER", "POSTGRES_DB", "POSTGRES_PASSWORD", "PGPASSWORD"}
FLOWER = {"FLOWER_ADDRESS", "FLOWER_PORT"}
IMAGES = {"PYTHON_IMAGE", "VALKEY_IMAGE", "POSTGRES_IMAGE"}
VALKEY = {"VALKEY_PASSWORD"}
CELERY = {"REMAP_SIGTERM", "CELERY_WORKER_CONCURRENCY"}
SETTINGS = {name.upper() for name in Settings.model_fields}
SECRET_FILES = {
    f"{name}_FILE"
    for name in (
        "WHATSAPP_APP_SECRET",
        "WHATSAPP_VERIFY_TOKEN",
        "SENTRY_DSN",
        "ALERT_WEBHOOK_URL",
        "METRICS_TOKEN",
        "WHATSAPP_ACCESS_TOKEN",
        "FORWARD_SECRET",
    )
}
KNOWN = SETTINGS | SECRET_FILES | PLATFORM | POSTGRES | FLOWER | CELERY | IMAGES | VALKEY


def lines_of_procfile() -> dict[str, str]:
    lines = (ROOT / "Procfile").read_text(encoding="utf-8").splitlines()
    return {name: line.strip() for name, _, line in (line.partition(":") for line in lines)}


def procfile() -> dict[str, str]:
    return {name: line.replace("exec ", "", 1) for name, line in lines_of_procfile().items()}


def words(line: str, **environment: str) -> list[str]:
    """A line's words as a shell sees them in this environment."""
    script = f"printf '%s\\n' {line}"
    known = {"PATH": os.environ["PATH"], **environment}
    done = subprocess.run(["sh", "-c", script], env=known, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def split(command: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The variables set before a command, and the command."""
    rest = list(command)
    variables = {}
    while re.match(r"[A-Z_]+=", rest[0]):
        name, _, value = rest.pop(0).partition("=")
        variables[name] = value
    return variables, rest


def of_pipeline(program: Program) -> list[str]:
    """What `neverdrop up` runs, with any Python, and named without the number that tells several apart."""
    return ["python", *(re.sub(r"^(ingest|worker|sender)1@", r"\1@", word) for word in program.argv[1:])]


def expected(process: str) -> list[str]:
    defaults = Settings.model_fields
    programs = {
        "web": pipeline.web(defaults["port"].default, EVERYWHERE),
        "ingest": pipeline.ingest(),
        "worker": pipeline.worker(),
        "sender": pipeline.sender(),
        "forwarder": pipeline.forwarder(),
        "beat": pipeline.beat(),
        "flower": pipeline.flower(5555, "user:password"),
    }
    return of_pipeline(programs[process])


def compose_command(service: str) -> list[str]:
    command = SERVICES[service].get("command")
    if command is None:
        command = words(image_default("CMD")[-1])[1:]  # without `exec`
    return shlex.split(command) if isinstance(command, str) else list(command)


def environment(service: str) -> dict[str, Any]:
    found: dict[str, Any] = SERVICES[service].get("environment", {})
    return found


def seconds(duration: str) -> float:
    return float(duration.removesuffix("s"))


# The command lines


@pytest.mark.parametrize("process", PROCESSES)
def test_the_procfile_runs_what_neverdrop_up_runs(process: str) -> None:
    variables, command = split(words(procfile()[process]))
    assert command == expected(process)
    assert variables == (SOFT_SHUTDOWN if process in ("ingest", "worker", "sender") else {})


@pytest.mark.parametrize("process", PROCESSES)
def test_the_procfiles_shell_becomes_the_process_so_that_a_signal_reaches_it(process: str) -> None:
    _, command = split(words(lines_of_procfile()[process]))
    assert command[0] == "exec"


@pytest.mark.parametrize("process", PROCESSES)
def test_compose_runs_what_neverdrop_up_runs(process: str) -> None:
    wanted = [word.replace("127.0.0.1", EVERYWHERE) for word in expected(process)]
    assert compose_command(process) == wanted
    if process in ("ingest", "worker"):
        assert environment(process).items() >= SOFT_SHUTDOWN.items()


def test_the_release_and_the_one_shot_service_migrate() -> None:
    assert procfile()["release"].split() == ["neverdrop", "migrate"]
    assert SERVICES["migrate"]["command"] == ["neverdrop", "migrate"]
    assert "migrate" in COMMANDS


def test_a_platform_finds_the_web_on_its_port() -> None:
    line = procfile()["web"]
    given = words(line, PORT="12345", WEB_CONCURRENCY="3")
    assert given == of_pipeline(pipeline.web(12345, EVERYWHERE, workers=3))
    assert words(image_default("CMD")[-1], PORT="12345", WEB_CONCURRENCY="3")[1:] == given


def test_flower_is_reached_from_its_own_machine_only_unless_told_otherwise() -> None:
    assert "--address=127.0.0.1" in words(procfile()["flower"])
    assert "--address=10.1.2.3" in words(procfile()["flower"], FLOWER_ADDRESS="10.1.2.3")


def test_consumers_are_named_after_their_container_so_that_they_can_be_scaled() -> None:
    for process in ("ingest", "worker"):
        assert f"{process}@%h" in compose_command(process)
        assert "container_name" not in SERVICES[process]
        assert "hostname" not in SERVICES[process]


# The modules and applications that the lines name


@pytest.mark.parametrize("line", [*procfile().values(), *(" ".join(compose_command(name)) for name in OURS)])
def test_every_module_that_is_run_exists(line: str) -> None:
    _, command = split(words(line))
    if command[0] == "neverdrop":
        assert command[1] in COMMANDS
        return
    assert command[:2] == ["python", "-m"]
    import_module(command[2])
    if command[2] == "celery":
        assert command[command.index("-A") + 1] == "tasks"
        assert (ROOT / "tasks" / "__init__.py").is_file()
    else:
        assert command[-1] in ("app.web:app", "app.targets")
        assert (ROOT / "app" / "web" / "__init__.py").is_file()


def test_the_entry_point_of_the_command_line_exists() -> None:
    scripts = re.search(r'^neverdrop = "(.+):(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert scripts is not None
    assert callable(getattr(import_module(scripts[1]), scripts[2]))


# The environment


def test_compose_passes_on_every_setting() -> None:
    for service in OURS:
        passed = set(environment(service))
        assert passed - KNOWN == set(), service
        for_web_alone = {"PORT"}
        assert SETTINGS - passed - for_web_alone - {"FLOWER_BASIC_AUTH"} == set(), service
        assert passed >= SECRET_FILES, service
    assert "PORT" in environment("web")


def test_no_file_that_ships_names_an_unknown_variable() -> None:
    for name in ("Procfile", "Dockerfile", "docker-compose.yml"):
        text = (ROOT / name).read_text(encoding="utf-8")
        used = set(re.findall(r"(?<!\$)\$\{([A-Z_]+)", text)) | set(
            re.findall(r"environ\.get\('([A-Z_]+)'", text)
        )
        assert used - KNOWN == set(), name


def test_no_secret_has_a_default_in_compose() -> None:
    assert environment("web")["WHATSAPP_APP_SECRET"] is None
    assert environment("web")["WHATSAPP_VERIFY_TOKEN"] is None
    secrets = (
        environment("flower")["FLOWER_BASIC_AUTH"], environment("postgres")["POSTGRES_PASSWORD"],
        environment("valkey")["REDISCLI_AUTH"], environment("web")["REDIS_URL"].split("neverdrop:")[1].split("@")[0],
    )  # fmt: skip
    for value in secrets:
        assert re.fullmatch(r"\$\{[A-Z_]+:\?[^}]+\}", value)


def test_composes_own_values_are_valid_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SETTINGS:
        monkeypatch.delenv(name, raising=False)
    given = {name: value for name, value in environment("worker").items() if value is not None}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("WHATSAPP_APP_SECRET", "secret")
    monkeypatch.setenv("WHATSAPP_VERIFY_TOKEN", "token")
    assert load().neverdrop_env == "production"


# Compose


def test_the_journal_is_durable_in_compose() -> None:
    command = SERVICES["valkey"]["command"]
    options = dict(zip(command[1::2], command[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--maxmemory-policy"] == "noeviction"


@pytest.mark.parametrize(("store", "path"), [("valkey", "/data"), ("postgres", "/var/lib/postgresql")])
def test_a_store_keeps_its_data_in_a_volume(store: str, path: str) -> None:
    (volume,) = SERVICES[store]["volumes"]
    name, _, target = volume.partition(":")
    assert name in COMPOSE["volumes"]
    assert target == path


def test_nothing_is_published_but_the_web_and_flower_on_this_machine() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert published == {"web": ["${PORT:-8000}:8000"], "flower": ["127.0.0.1:${FLOWER_PORT:-5555}:5555"]}
    assert COMPOSE["networks"]["stores"]["internal"] is True
    for store in ("valkey", "postgres"):
        assert SERVICES[store]["networks"] == ["stores"]


def test_every_container_is_bounded_and_can_do_little() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"pids_limit", "mem_limit", "cpus"} <= service.keys(), name
        assert "/tmp" in service["tmpfs"], name
    assert [SERVICES[store]["user"] for store in ("valkey", "postgres")] == ["valkey", "postgres"]


def test_every_image_can_be_pinned_by_its_digest() -> None:
    assert SERVICES["valkey"]["image"].startswith("${VALKEY_IMAGE:-")
    assert SERVICES["postgres"]["image"].startswith("${POSTGRES_IMAGE:-")
    assert re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE) == [
        "${PYTHON_IMAGE}",
        "${PYTHON_IMAGE}",
    ]
    for service in OURS:
        assert SERVICES[service]["build"]["args"] == ["PYTHON_IMAGE"]
    deploying = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in deploying for name in IMAGES)


def test_every_service_waits_for_what_it_needs() -> None:
    conditions = {"service_started", "service_healthy", "service_completed_successfully"}
    for service in SERVICES.values():
        for needed, how in service.get("depends_on", {}).items():
            assert needed in SERVICES
            assert how["condition"] in conditions
            if how["condition"] == "service_healthy":
                assert "test" in SERVICES[needed]["healthcheck"]
    for name in ("web", "ingest", "worker", "beat"):
        assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"


def test_everything_comes_back_but_the_migration() -> None:
    restarts = {name: service["restart"] for name, service in SERVICES.items()}
    assert restarts.pop("migrate") == "no"
    assert set(restarts.values()) == {"unless-stopped"}


def test_a_deploy_leaves_more_time_than_a_shutdown_takes() -> None:
    for name in ("ingest", "worker"):
        assert seconds(SERVICES[name]["stop_grace_period"]) > pipeline.WORKER_GRACE_SECONDS
    assert seconds(SERVICES["web"]["stop_grace_period"]) > pipeline.WEB_GRACE_SECONDS


def test_a_process_that_is_not_the_web_is_not_asked_for_the_webs_health() -> None:
    for name in OURS:
        if name != "web":
            assert "healthcheck" in SERVICES[name], name
