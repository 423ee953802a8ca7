"""Who imports whom in the product: modules, packages, and the arrows between them."""

import ast
from functools import cache
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[2]
TREES = ("tasks", "app", "config")


@cache
def graph() -> grimp.ImportGraph:
    """Return every import, also inside functions, but not what only a type checker sees."""
    return grimp.build_graph(
        *TREES, include_external_packages=True, exclude_type_checking_imports=True, cache_dir=None
    )


@cache
def modules() -> dict[str, Path]:
    """Return the product's modules by name, with their files."""
    files = {}
    for folder in TREES:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            files[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return files


@cache
def imports(module: str) -> set[str]:
    return graph().find_modules_directly_imported_by(module)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def package_of(module: str) -> str:
    """Return ``app.lanes`` for ``app.lanes.claims``; ``tasks``, ``config`` and ``app.errors`` stand for themselves."""
    return ".".join(module.split(".")[: 2 if module.startswith("app.") else 1])


@cache
def crossings() -> list[tuple[str, str]]:
    """Return the imports from one package into another, as (importer, imported) modules."""
    ours = graph().modules
    return [
        (importer, imported)
        for importer in modules()
        for imported in sorted(imports(importer))
        if imported.startswith(TREES) and imported in ours and package_of(imported) != package_of(importer)
    ]
