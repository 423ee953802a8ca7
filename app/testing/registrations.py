"""Which handlers belong to a test: of the modules that it names, or of those that its file imports."""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import resolve_name
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from app.handlers import Handler, Registry

NEVERDROP = ("app", "config", "tasks")  # packages that are not searched for modules of a bot
INSTALLED = ("site-packages", "dist-packages")


class Registrations:
    """What was registered in this process, by the module of each function, also where two claim the same events."""

    def __init__(self) -> None:
        self._seen: dict[str, dict[tuple[str, str | None, str], Handler]] = defaultdict(dict)

    @contextmanager
    def of_a_file(self) -> Iterator[None]:
        """Inside the block modules register as if they were the only ones; afterwards the first of two stays."""
        registry = _process_registry()
        handlers, bound = (registry.handlers, registry.bound) if registry else ({}, {})
        if registry:
            self.note()
            registry.handlers, registry.bound = {}, {}
        try:
            yield
        finally:
            registry = _process_registry()
            if registry:
                self.note()
                registry.handlers = {**registry.handlers, **handlers}
                registry.bound = {**registry.bound, **bound}

    def note(self) -> None:
        """Remember what is registered now."""
        registry = _process_registry()
        for (kind, type_, _lane), handler in registry.items() if registry else ():
            self._seen[handler.function.__module__][kind, type_, handler.name] = handler

    def of(self, module: ModuleType, given: tuple[str, ...]) -> "Registry":
        """Return the handlers of the given modules and packages, else of those that a test's module imports.

        HandlerError if two of them claim the same events.
        """
        from app.handlers import Registry

        self.note()
        names = set(given) or _imported(module)
        # Every test imports app.handlers: that names no handler of Neverdrop's own
        packages = {name for name in names if name in given or name.partition(".")[0] not in NEVERDROP}
        found = Registry()
        for owner in sorted(self._seen):
            if owner in names or any(owner.startswith(f"{name}.") for name in packages):
                for (kind, type_, _name), handler in self._seen[owner].items():
                    found.add(kind, type_, handler)
        return found


def _process_registry() -> "Registry | None":
    """Return the registry of this process; None while nobody has imported it."""
    module: Any = sys.modules.get("app.handlers.handler_registry")
    return getattr(module, "registry", None)


def _imported(module: ModuleType) -> set[str]:
    """Return the names of the module, of what it imports, and of what that imports, without what is installed."""
    names: set[str] = set()
    to_do = [module.__name__]
    while to_do:
        name = to_do.pop()
        if name not in names:
            names.add(name)
            to_do += _imports_of(name)
    return names


def _imports_of(name: str) -> list[str]:
    module = sys.modules.get(name)
    path = Path(getattr(module, "__file__", None) or "")
    if path.suffix != ".py" or name.partition(".")[0] in NEVERDROP or not _is_of_the_team(path):
        return []
    found = []
    package = (module.__package__ if module else None) or ""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package or None)
            members = [f"{source}.{alias.name}" for alias in node.names]
            found += [member if member in sys.modules else source for member in members]
    return found


def _is_of_the_team(path: Path) -> bool:
    return not any(part in INSTALLED for part in path.parts) and not path.is_relative_to(sys.base_prefix)
