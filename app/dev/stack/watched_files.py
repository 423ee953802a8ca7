"""Which files a team's handlers are made of, and waiting for one of them to be saved."""

import sys
import threading
from collections.abc import Iterable
from importlib.machinery import PathFinder
from pathlib import Path

INSTALLED = ("site-packages", "dist-packages")
SKIPPED = ("__pycache__", "node_modules")
SUFFIXES = (".py",)
NAMES = (".env",)
DEBOUNCE_MS = 200  # saves within this time are one
STEP_MS = 50
IDLE_MS = 300


def directories(modules: Iterable[str]) -> list[Path]:
    """Return the directories of these modules: beside a module, and all of a package, without what is installed."""
    found: set[Path] = set()
    for root in {module.partition(".")[0] for module in modules}:
        spec = PathFinder.find_spec(root, [str(Path.cwd()), *sys.path])
        if spec is None:
            found.add(Path.cwd())  # it may be written there yet
            continue
        for package in map(Path, spec.submodule_search_locations or ()):
            found |= {
                package,
                *(path for path in package.rglob("*") if path.is_dir() and _is_code(path, package)),
            }
        if spec.origin and not spec.submodule_search_locations:
            found.add(Path(spec.origin).parent)
    return sorted(path for path in found if not any(part in INSTALLED for part in path.parts))


def _is_code(directory: Path, package: Path) -> bool:
    parts = directory.relative_to(package).parts
    return not any(part.startswith(".") or part in SKIPPED for part in parts)


def watch(
    modules: Iterable[str], watches: threading.Event, ended: threading.Event, changed: threading.Event
) -> None:
    """Set ``watches`` when a save would be seen, and ``changed`` after each, until ``ended`` is set."""
    import watchfiles

    for changes in watchfiles.watch(
        *directories(modules),
        watch_filter=lambda _change, path: Path(path).suffix in SUFFIXES or Path(path).name in NAMES,
        stop_event=ended,
        recursive=False,  # a database that lies in the same directory is written to all the time
        debounce=DEBOUNCE_MS,
        step=STEP_MS,
        rust_timeout=IDLE_MS,
        yield_on_timeout=True,
        raise_interrupt=False,
    ):
        watches.set()
        if changes:
            changed.set()
