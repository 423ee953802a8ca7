"""Arrows go one way, nothing is imported in a circle, what says it is pure is pure, and no file grows too long."""

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[2]
LAYERS = ("tasks", "app", "config")  # each may import those after it
PURE = "Pure: no I/O."
LONGEST_FILE = 400  # lines
IO_BUILTINS = {"open", "print", "input", "breakpoint"}

# A pure module imports from here, from other pure modules, and what BORROWED names: values, never acts.
COMPUTING = {
    "collections", "contextlib", "contextvars", "dataclasses", "datetime", "decimal", "enum", "functools", "hashlib",
    "heapq", "hmac", "itertools", "json", "math", "operator", "random", "re", "string", "textwrap", "typing", "uuid",
}  # fmt: skip
BORROWED = {
    ("app.handlers.retry", "app.errors"): "the exceptions that a handler raises",
    ("app.dev.stack.programs", "app.dev.stack.processes"): "Program, a description",
    ("app.dev.stack.programs", "pathlib"): "Path, as a name",
    ("app.dev.stack.programs", "sys"): "the name of this Python",
    ("config.celery", "config.settings"): "Settings, as it is given",
    ("config.celery", "kombu"): "Queue, a declaration",
    ("config.redis_endpoint", "ssl"): "its constants",
    ("config.redis_endpoint", "urllib"): "parse",
}


@cache
def graph() -> grimp.ImportGraph:
    """Every import, also inside functions, but not what only a type checker sees."""
    return grimp.build_graph(
        *LAYERS, include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )


def modules() -> dict[str, Path]:
    """Our modules by name, with their files."""
    found = {}
    for layer in LAYERS:
        for path in sorted((ROOT / layer).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(module: str) -> set[str]:
    return graph().find_modules_directly_imported_by(module)


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def pure_modules() -> list[str]:
    return [name for name, path in modules().items() if PURE in (ast.get_docstring(tree(path)) or "")]


def layer_of(module: str) -> str:
    return module.partition(".")[0]


def test_the_graph_knows_every_module() -> None:
    assert set(modules()) <= graph().modules


def test_tasks_import_app_and_app_imports_config_and_never_the_other_way() -> None:
    wrong = [
        f"{importer} imports {imported}"
        for importer in modules()
        for imported in imports(importer)
        if layer_of(imported) in LAYERS[: LAYERS.index(layer_of(importer))]
    ]
    assert wrong == []


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
    assert {
        "app.payload.parse",
        "app.handlers.retry",
        "app.web.signature",
        "app.stores.redis_keys",
        "config.celery",
    } <= set(pure_modules())


@pytest.mark.parametrize("module", modules())
def test_no_file_grows_too_long(module: str) -> None:
    assert len(modules()[module].read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


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
