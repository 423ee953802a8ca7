"""Arrows go one way, nothing is imported in a circle, what says it is pure is pure, and no file grows too long."""

import ast
from collections import Counter
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from statistics import median

import pytest

from tests import architecture_map
from tests.helpers.imports import ROOT, crossings, graph, imports, modules, package_of, tree

# Floors, top to bottom: a package imports from floors below its own, and never from its neighbours
FLOORS = (
    ("app.testing",),
    ("tasks",),
    ("app.flower", "app.cli"),
    ("app.dev", "app.doctor"),
    ("app.web", "app.targets"),
    ("app.intake", "app.recovery", "app.dead_letters", "app.replays", "app.lanes", "app.erasure"),
    ("app.ingest", "app.views"),
    ("app.watch", "app.broker", "app.payload"),
    ("app.handlers",),
    ("app.outbox",),
    ("app.stores", "app.graph"),
    ("app.errors",),
    ("config",),
)
ONLY_FROM = {"app.dev": {"app.cli", "app.dev", "app.testing"}}  # what never runs in production
# Imports that go past a package's public names, each with its reason
BEHIND_THE_NAMES: dict[tuple[str, str], str] = {}
INIT_LINES = 10  # of a package's docstring
PURE = "Pure: no I/O."
MAX_FILE_LINES = 300
MAX_MEDIAN_LINES = 100
IO_BUILTINS = {"open", "print", "input", "breakpoint"}

# A pure module imports from here, from other pure modules, and what BORROWED names: values, never acts.
COMPUTING = {
    "bisect", "collections", "contextlib", "contextvars", "dataclasses", "datetime", "decimal", "enum", "functools",
    "hashlib", "heapq", "hmac", "itertools", "json", "math", "operator", "random", "re", "string", "textwrap",
    "threading", "typing", "uuid",
}  # fmt: skip
BORROWED = {
    ("app.dev.judge.facts", "app.dev.simulator"): "PlannedEvent, a description",
    ("app.dev.judge.ledger", "app.dev.simulator"): "Try and PlannedEvent, descriptions",
    ("app.dev.judge.finished", "app.dev.simulator"): "Fate, an enum",
    ("app.dev.judge.replays", "app.dev.simulator"): "Fate, an enum",
    ("app.dev.judge.loud", "app.dev.simulator"): "PlannedEvent and Fate, descriptions",
    ("app.dev.judge.statuses", "app.dev.simulator"): "PlannedEvent, a description",
    ("app.dev.judge.statuses", "app.stores"): "MessageStatus, an enum",
    ("app.dev.stack.programs", "app.dev.processes"): "Program, a description",
    ("app.dev.stack.programs", "sys"): "the name of this Python",
    ("config.celery", "config.settings"): "Settings, as it is given",
    ("config.celery", "kombu"): "Queue, a declaration",
    ("app.stores.session_options", "urllib"): "parse",
    ("config.redis_endpoint", "socket"): "its constants",
    ("config.redis_endpoint", "ssl"): "its constants",
    ("config.redis_endpoint", "urllib"): "parse",
    ("config.settings_checks", "urllib"): "parse",
    ("app.dev.graph.app_setup", "app.dev.graph.bodies"): "its constants",
    ("app.erasure.traces", "base64"): "decoding",
    ("app.erasure.traces", "app.erasure.person"): "the person, a value",
    ("app.doctor.meta", "app.graph"): "its facts, which are values",
    ("app.doctor.runbook", "app.watch"): "the alerts' names",
    ("app.handlers.retry", "app.errors"): "the exceptions that a handler raises",
    ("app.graph.messages", "app.errors"): "the exception that a handler raises",
    ("app.handlers.sending", "app.graph"): "messages, which are pure",
    ("app.targets.addresses", "ipaddress"): "addresses, values",
    ("app.targets.addresses", "urllib"): "parse",
    ("app.targets.answers", "email"): "parsing a date",
    ("app.targets.body", "app.handlers"): "Event, a description",
    ("app.targets.signing", "standardwebhooks"): "HMAC, computed",
    ("app.targets.sql", "app.lanes.bursts"): "the text of a burst's query",
    ("app.targets.target", "app.handlers"): "TARGET_LANE and MAX_JOIN_SECONDS, constants",
    ("app.targets.target", "base64"): "decoding",
    ("app.targets.target", "binascii"): "its error",
    ("app.targets.target", "pydantic"): "checks of values",
    ("app.outbox.address", "app.graph"): "InvalidMessage, an exception",
    ("app.outbox.retry", "app.graph"): "answers, descriptions",
}


def pure_modules() -> list[str]:
    return [name for name, path in modules().items() if PURE in (ast.get_docstring(tree(path)) or "")]


def boundary_of(module: str) -> str:
    """The package whose public names outsiders import: as ``package_of``, and each package of ``app.dev``."""
    return ".".join(module.split(".")[:3]) if module.startswith("app.dev.") else package_of(module)


def floor_of(package: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if package in floor)


def imported_names(path: Path) -> list[tuple[str, str]]:
    """(module, name) of each ``from module import name``, also inside functions."""
    return [
        (node.module or "", alias.name)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]


@cache
def public_names(package: str) -> frozenset[str]:
    for node in tree(modules()[package]).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return frozenset(ast.literal_eval(node.value))
    return frozenset()


def packages() -> list[str]:
    return [
        name for name, path in modules().items() if path.name == "__init__.py" and name.startswith("app.")
    ]


def test_the_graph_knows_every_module() -> None:
    assert set(modules()) <= graph().modules


def test_every_package_has_a_floor() -> None:
    assert {package_of(name) for name in modules() if name != "app"} == {p for floor in FLOORS for p in floor}


def test_arrows_go_down() -> None:
    wrong = [
        f"{importer} imports {imported}"
        for importer, imported in crossings()
        if floor_of(package_of(imported)) <= floor_of(package_of(importer))
    ]
    assert wrong == []


def test_what_never_runs_in_production_is_imported_by_the_command_line_alone() -> None:
    wrong = [
        f"{importer} imports {imported}"
        for importer, imported in crossings()
        if package_of(importer) not in ONLY_FROM.get(package_of(imported), {package_of(importer)})
    ]
    assert wrong == []


def test_outside_a_package_only_its_public_names_are_imported() -> None:
    wrong = []
    for importer, path in modules().items():
        for module, name in imported_names(path):
            outside = module.startswith("app.") and boundary_of(module) != boundary_of(importer)
            if not outside or module == "app.errors" or (importer, f"{module}.{name}") in BEHIND_THE_NAMES:
                continue
            if module != boundary_of(module) or name not in public_names(module):
                wrong.append(f"{importer} imports {name} from {module}")
    assert wrong == []


def test_every_public_name_is_there() -> None:
    missing = [f"{p}.{n}" for p in packages() for n in public_names(p) if not hasattr(import_module(p), n)]
    assert missing == []


def test_every_way_past_the_public_names_is_still_used() -> None:
    used = {(i, f"{module}.{name}") for i, path in modules().items() for module, name in imported_names(path)}
    assert set(BEHIND_THE_NAMES) <= used


def test_a_package_says_in_ten_lines_what_it_promises() -> None:
    said = {package: ast.get_docstring(tree(modules()[package])) or "" for package in packages()}
    assert [package for package, text in said.items() if len(text.splitlines()) > INIT_LINES] == []
    for word in ("Promises:", "Relies on:"):
        silent = {package for package, text in said.items() if word not in text}
        assert [
            package for package in silent - {"app.dev"} if not package.startswith("app.stores.migrations")
        ] == []


def test_nothing_is_imported_in_a_circle() -> None:
    ours = set(modules())
    sorter = TopologicalSorter({name: imports(name) & ours for name in ours})
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def test_a_pure_module_imports_nothing_that_does_io() -> None:
    allowed = COMPUTING | set(pure_modules())
    wrong = {(module, name) for module in pure_modules() for name in imports(module) - allowed}
    assert wrong - set(BORROWED) == set()


def test_a_pure_module_opens_and_prints_nothing() -> None:
    called = {
        (module, node.func.id)
        for module in pure_modules()
        for node in ast.walk(tree(modules()[module]))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert {call for call in called if call[1] in IO_BUILTINS} == set()


def test_what_is_borrowed_is_still_used() -> None:
    assert {
        (importer, imported) for importer, imported in BORROWED if imported not in imports(importer)
    } == set()


def test_the_core_decisions_are_pure() -> None:
    core = {
        "app.payload.parse",
        "app.handlers.retry",
        "app.web.signature",
        "app.stores.redis_keys",
        "config.celery",
    }
    assert core <= set(pure_modules())


def test_no_file_grows_too_long_and_most_are_short() -> None:
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()}
    assert {name: count for name, count in lines.items() if count > MAX_FILE_LINES} == {}
    assert median(lines.values()) < MAX_MEDIAN_LINES


def test_no_two_classes_share_a_name() -> None:
    classes = Counter(
        node.name
        for name, path in modules().items()
        if name.startswith("app.")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
    )
    shared = {name for name, count in classes.items() if count > 1}
    assert shared == set()


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        name
        for name, path in modules().items()
        if ".migrations" not in name and not ast.get_docstring(tree(path))
    ]
    assert silent == []


def test_every_script_for_redis_opens_with_its_call() -> None:
    scripts = sorted((ROOT / "app").rglob("*.lua"))
    assert scripts
    for script in scripts:
        assert script.read_text(encoding="utf-8").startswith(f"-- {script.stem}(KEYS = "), script.name


def test_the_drawing_in_the_docs_is_that_of_the_imports() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert architecture_map.replaced(page) == page, "run `make map`"
