"""What can be set, called, seen or raised is in the docs, and what the docs name exists."""

import ast
import inspect
import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from app.cli.entry import COMMANDS, cli
from app.handlers import Event, on_event, on_message, on_status
from app.stores import redis_keys
from app.stores.models import DeliveryState, JobState, MessageStatus, StoredIn
from app.watch import AlertName
from app.web.process import create_app
from config import celery
from config.settings import Settings
from tests.unit.pages import PAGES, README, ROOT, anchors, blocks, code, rows

ARCHITECTURE, HANDLERS, OPERATIONS = (PAGES[name] for name in ("architecture", "handlers", "operations"))
EVERYTHING = "\n".join(PAGES.values())

NOW = datetime.now(UTC)
LEVELS = {"debug", "info", "warning", "error", "critical", "exception"}
CONSTANT_NAME = re.compile(r"[a-z_]+\.[a-z_]+")
MAX_MEASURED_BYTES = 28_000  # of the pages that sum up; what they sum up is on pages behind them
BEFORE_THEM = (
    "README",
    "quickstart",
    "handlers",
    "replies",
    "testing",
    "deploying",
    "operations",
    "performance",
)
COMMAND_LINE = re.compile(r"neverdrop ((?:[a-z]+ ?){1,2})([^\n`#]*)")


@cache
def trees() -> dict[Path, ast.Module]:
    paths = [path for layer in ("app", "config", "tasks") for path in sorted((ROOT / layer).rglob("*.py"))]
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def strings(node: ast.AST) -> list[str]:
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def compared(tree: ast.AST) -> set[str]:
    """Strings that are only compared with, such as the name of a route."""
    return {text for node in ast.walk(tree) if isinstance(node, ast.Compare) for text in strings(node)}


@cache
def log_events() -> frozenset[str]:
    """The constants that loggers are called with, and those of the same families that reach one by a variable."""
    calls = [
        node
        for tree in trees().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in LEVELS
        and ast.unparse(node.func.value) in ("log", "get_logger(__name__)")
    ]
    direct = {
        call.args[0].value
        for call in calls
        if call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }
    families = {name.partition(".")[0] for name in direct}
    by_variable = {
        text
        for tree in trees().values()
        for text in set(strings(tree)) - compared(tree)
        if CONSTANT_NAME.fullmatch(text) and text.partition(".")[0] in families
    }
    return frozenset(direct | by_variable)


@cache
def commands() -> dict[str, click.Command]:
    """Every command by its words: "trace", "dead list"."""
    context = click.Context(cli)
    found: dict[str, click.Command] = {}
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= {f"{name} {inner}": command.commands[inner] for inner in command.commands}
        else:
            found[name] = command
    return found


def options(command: click.Command) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts} | {"--help"}


# From the code to the docs


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_in_the_readme_with_its_default(name: str) -> None:
    (row,) = [cells for cells in rows(README) if cells[0] == f"`{name.upper()}`"]
    default = Settings.model_fields[name].get_default()
    documented = row[1].strip("`")
    if isinstance(default, bool):
        assert documented == str(default).lower()
    elif isinstance(default, int | float):
        assert float(documented) == default
    else:
        plain = default.get_secret_value() if hasattr(default, "get_secret_value") else default
        assert documented == (plain or "")
    assert row[2], "what it means"


def test_the_readme_has_no_setting_that_does_not_exist() -> None:
    documented = {cells[0].strip("`") for cells in rows(README) if re.fullmatch(r"`[A-Z_]+`", cells[0])}
    assert documented == {name.upper() for name in Settings.model_fields}


@pytest.mark.parametrize("command", commands())
def test_every_command_is_in_the_docs(command: str) -> None:
    assert f"neverdrop {command}" in EVERYTHING


@pytest.mark.parametrize("state", [*JobState, *DeliveryState, *StoredIn, *MessageStatus])
def test_every_state_is_in_the_architecture(state: str) -> None:
    assert str(state) in code(ARCHITECTURE)


def test_the_diagram_of_states_is_that_of_the_tables() -> None:
    module = ast.get_docstring(trees()[ROOT / "app" / "stores" / "job_models.py"]) or ""
    drawn = [line.strip() for line in module.partition("States of a job::")[2].splitlines() if line.strip()]
    drawn = drawn[: drawn.index(next(line for line in drawn if line.startswith("dead "))) + 1]
    shown = [line.strip() for line in ARCHITECTURE.splitlines()]
    assert [line for line in drawn if line not in shown and line != "::"] == []


def test_every_meaning_of_a_jobs_state_is_that_of_the_tables() -> None:
    source = (ROOT / "app" / "stores" / "models.py").read_text(encoding="utf-8")
    meanings = dict(
        re.findall(r'= "(\w+)"  # (.+)', source.partition("class JobState")[2].partition("class ")[0])
    )
    documented = {cells[0].strip("`"): cells[1] for cells in rows(ARCHITECTURE) if len(cells) == 2}
    assert {state: documented.get(state) for state in JobState} == {
        state: meanings[state] for state in JobState
    }


@pytest.mark.parametrize("name", [*celery.QUEUES, *celery.ROUTES])
def test_every_queue_and_task_is_in_the_architecture(name: str) -> None:
    assert name in code(ARCHITECTURE)


@pytest.mark.parametrize("key", [value for name, value in vars(redis_keys).items() if name.isupper()])
def test_every_key_in_redis_is_in_the_architecture(key: str) -> None:
    assert key.removesuffix(":") in {cells[0].strip("`").removesuffix(":…") for cells in rows(ARCHITECTURE)}


@pytest.mark.parametrize("name", AlertName)
def test_every_alert_has_its_advice(name: str) -> None:
    (row,) = [cells for cells in rows(OPERATIONS) if cells[0] == f"`{name}`"]
    assert all(row[1:])


def test_every_log_event_is_a_constant_name_in_the_docs() -> None:
    assert [name for name in log_events() if not CONSTANT_NAME.fullmatch(name)] == []
    assert sorted(log_events() - set(code(OPERATIONS))) == []


def test_the_docs_have_no_log_event_that_does_not_exist() -> None:
    documented = {
        name
        for cells in rows(OPERATIONS.partition("## Log events")[2].partition("\n## ")[0])
        for name in code(cells[0])
    }
    assert documented - log_events() == set()


@pytest.mark.parametrize("decorator", [on_message, on_status, on_event])
def test_every_option_of_a_handler_is_in_the_docs_with_its_default(decorator: Any) -> None:
    documented = {cells[0].strip("`"): cells[1].strip('`"') for cells in rows(HANDLERS) if len(cells) == 3}
    parameters = inspect.signature(decorator).parameters.values()
    for option in (p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY):
        expected = (
            "HANDLER_TIME_LIMIT_SECONDS"
            if option.name == "time_limit_seconds"
            else f"{option.default:g}"
            if isinstance(option.default, float)
            else str(option.default)
        )
        assert documented[option.name] == expected


def test_every_attribute_of_an_event_is_in_the_docs() -> None:
    public = {name for name in vars(Event) if not name.startswith("_")} | set(Event.__dataclass_fields__)
    assert public - {"payload"} - code(HANDLERS) == set()


def test_every_route_of_the_web_is_in_the_docs() -> None:
    routes = {rule.rule for rule in create_app().url_map.iter_rules()}
    assert [route for route in routes if route not in EVERYTHING] == []


# From the docs to the code


@pytest.mark.parametrize("page", PAGES)
def test_every_command_line_in_the_docs_would_be_understood(page: str) -> None:
    spans = [
        *code(PAGES[page]),
        *(line for block in blocks(PAGES[page], "sh") for line in block.splitlines()),
    ]
    for span in spans:
        for words, rest in COMMAND_LINE.findall(span):
            first, _, second = words.strip().partition(" ")
            assert first in COMMANDS, span
            names = [name for name in (f"{first} {second}", first) if name in commands()]
            if not names:  # a group by itself, such as `neverdrop dead`
                continue
            assert set(re.findall(r"--[a-z-]+", rest.partition("|")[0])) <= options(commands()[names[0]]), (
                span
            )


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_in_the_docs_exists(page: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"`[^`\n]*\bmake ([a-z]+)", PAGES[page])) <= targets


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_the_docs_name_exists(page: str) -> None:
    here = ROOT if page.isupper() else ROOT / "docs"
    for link in re.findall(r"\]\((?!https:)([^)#]+)", PAGES[page]):
        assert (here / link).exists(), link
    for path in code(PAGES[page]):
        if re.fullmatch(r"(app|bench|config|tasks|tests|docs)/[\w/]+\.\w+", path):
            assert (ROOT / path).exists(), path
        if re.fullmatch(r"(unit|integration|acceptance|browser|chaos|hostile)/[\w/]+\.py", path):
            assert (ROOT / "tests" / path).exists(), path
        if re.fullmatch(r"test_\w+\.py", path):
            assert list((ROOT / "tests").rglob(path)), path


@pytest.mark.parametrize("page", PAGES)
def test_every_place_in_a_page_that_the_docs_link_to_exists(page: str) -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", PAGES[page]):
        assert anchor in anchors(PAGES[Path(target).stem or page]), f"{target}#{anchor}"


def test_each_of_the_twenty_questions_has_a_place_with_its_answer() -> None:
    asked = rows(PAGES["index"].partition("## Twenty questions")[2])[1:]
    assert len(asked) == 20
    assert [question for question, answer in asked if not re.search(r"\]\([a-z]+\.md", answer)] == []


def test_who_only_uses_it_passes_by_half_of_the_measurements_that_there_were() -> None:
    on_the_way = "".join(PAGES[page] for page in ("guarantees", "performance", "scaling"))
    assert len(on_the_way.encode()) <= MAX_MEASURED_BYTES
    assert [page for page in BEFORE_THEM if "<!-- figures" in PAGES[page]] == []


@pytest.mark.parametrize("page", PAGES)
def test_every_metric_that_the_docs_name_exists(page: str) -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in trees())
    for metric in re.findall(r"`neverdrop_(\w+?)(?:_total)?(?:\{\w+\S*)?`", PAGES[page]):
        assert f'"{metric}"' in source or f'"neverdrop_{metric}"' in source, metric


def test_the_map_names_every_package() -> None:
    text = ast.get_docstring(trees()[ROOT / "app" / "__init__.py"]) or ""
    names = set(re.findall(r"^  ([a-z_]+) {2,}\S", text, re.MULTILINE))
    assert names == {path.parent.name for path in (ROOT / "app").glob("*/__init__.py")}
