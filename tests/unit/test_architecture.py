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
    ("tasks",),
    ("app.flower", "app.cli"),
    ("app.dev",),
    ("app.web",),
    ("app.intake", "app.recovery", "app.dead_letters", "app.replays", "app.lanes"),
    ("app.ingest", "app.views"),
    ("app.watch", "app.broker", "app.payload"),
    ("app.handlers",),
    ("app.outbox",),
    ("app.stores", "app.graph"),
    ("app.errors",),
    ("config",),
)
ONLY_FROM = {"app.dev": {"app.cli", "app.dev"}}  # what never runs in production
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
    ("app.dev.judge.loud", "app.dev.simulator"): "PlannedEvent and Fate, descriptions",
    ("app.dev.judge.once", "app.dev.simulator"): "Fate, an enum",
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
    ("app.handlers.retry", "app.errors"): "the exceptions that a handler raises",
    ("app.graph.messages", "app.errors"): "the exception that a handler raises",
    ("app.handlers.sending", "app.graph"): "messages, which are pure",
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


@pytest.mark.parametrize("package", packages())
def test_a_package_says_in_ten_lines_what_it_promises(package: str) -> None:
    docstring = ast.get_docstring(tree(modules()[package])) or ""
    assert len(docstring.splitlines()) <= INIT_LINES
    if package != "app.dev" and not package.startswith("app.stores.migrations"):
        for word in ("Promises:", "Relies on:"):
            assert word in docstring


def test_nothing_is_imported_in_a_circle() -> None:
    ours = set(modules())
    sorter = TopologicalSorter({name: imports(name) & ours for name in ours})
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


@pytest.mark.parametrize("module", pure_modules())
def test_a_pure_module_imports_nothing_that_does_io(module: str) -> None:
    pure = set(pure_modules())
    borrowed = {imported for importer, imported in BORROWED if importer == module}
    assert imports(module) - COMPUTING - pure - borrowed == set()


@pytest.mark.parametrize("module", pure_modules())
def test_a_pure_module_opens_and_prints_nothing(module: str) -> None:
    called = {
        node.func.id
        for node in ast.walk(tree(modules()[module]))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert called & IO_BUILTINS == set()


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


@pytest.mark.parametrize("module", modules())
def test_no_file_grows_too_long(module: str) -> None:
    assert len(modules()[module].read_text(encoding="utf-8").splitlines()) <= MAX_FILE_LINES


def test_most_files_are_short() -> None:
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in modules().values()]
    assert median(lines) < MAX_MEDIAN_LINES


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
