"""Test a bot: the pytest plugin with the fixtures ``bot`` and ``meta``. Begin with ``docs/testing.md``.

Promises: the same vocabulary at three depths: handlers alone, tasks inline over real stores, all processes.
Relies on: ``pytest``, and from the second depth on on the stores that come as wheels.
Cannot see: what the real Meta does; a double that keeps its documented rules plays it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # pytest imports this package at each start, also where no test asks for a bot
    from app.testing.bot import Bot
    from app.testing.meta import Meta
    from app.testing.person import Person

__all__ = ["Bot", "Meta", "Person"]


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for."""
    from importlib import import_module

    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{name.lower()}"), name)
