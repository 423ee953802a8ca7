"""Refuse to start where a module of somebody else would be imported in place of ours."""

from importlib.machinery import PathFinder
from pathlib import Path

from app.errors import NeverdropError

PROJECT_ROOT = Path(__file__).resolve().parents[3]
RESERVED_PACKAGES = ("app", "config", "tasks")


class ShadowedPackageError(NeverdropError):
    """A package in the working directory has the name of one of ours."""


def check_working_directory(directory: Path) -> None:
    """Raise ShadowedPackageError if ``directory`` has a package or module named as one of ours.

    Each process of the stack runs with ``python -m``, which searches the working directory first. A directory
    without ``__init__.py`` does no harm: Python prefers a real package further down its path.
    """
    for name in RESERVED_PACKAGES:
        spec = PathFinder.find_spec(name, [str(directory)])
        if spec is None or spec.origin is None:
            continue
        if PROJECT_ROOT / name not in Path(spec.origin).resolve().parents:
            kind = "package" if spec.submodule_search_locations else "module"
            raise ShadowedPackageError(
                f"there is a {kind} named `{name}` in {directory}: Neverdrop's own is named so too, and would not be"
                " found; rename yours or start elsewhere"
            )
