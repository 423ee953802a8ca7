"""Opens the fixture ``bot`` at the depth that a test asks for."""

from contextlib import ExitStack

import pytest

from app.graph import answered_by
from app.handlers import Registry, coroutines, load_handlers
from app.testing.alone import Alone
from app.testing.bot import Bot
from app.testing.crash_runs import CrashRuns
from app.testing.database_alone import rolled_back
from app.testing.isolation import isolate
from app.testing.meta import Meta
from app.testing.registrations import Registrations
from app.testing.team_models import create_tables
from config.settings import settings

DEPTHS = ("bot", "pipeline", "stack")


def open_bot(request: pytest.FixtureRequest, registrations: Registrations, stack: ExitStack) -> Bot:
    """Return the bot of a test; what was opened for it is closed with ``stack``."""
    marker = request.node.get_closest_marker("bot")
    depth, given, tables = _marked(*marker.args, **marker.kwargs) if marker else (None, (), True)
    depth = depth or request.config.getoption("--bot-depth") or request.config.getini("bot_depth")
    if depth not in DEPTHS:
        raise pytest.UsageError(f"there is no depth {depth!r} of the fixture bot: {', '.join(DEPTHS)}")
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    isolate(patch, request.getfixturevalue("tmp_path_factory"))
    settings.cache_clear()
    stack.callback(settings.cache_clear)
    registry = _handlers(request, registrations, given)
    stack.callback(coroutines.close)
    runs = CrashRuns(request, registry, tables)
    if depth == "pipeline":
        return runs.open_bot(stack)
    return (_processes if depth == "stack" else _alone)(request, registry, tables, runs, stack)


def _marked(
    depth: str | None = None, *, handlers: str | tuple[str, ...] = (), tables: bool = True
) -> tuple[str | None, tuple[str, ...], bool]:
    """Read the marker's arguments."""
    names = tuple(part.strip() for part in handlers.split(",")) if isinstance(handlers, str) else handlers
    return depth, names, tables


def _handlers(
    request: pytest.FixtureRequest, registrations: Registrations, given: tuple[str, ...]
) -> Registry:
    """Return the handlers that the marker or HANDLERS names, else those that the test's file imports."""
    names = given or settings().handlers
    with registrations.of_a_file():
        load_handlers(names, settings().handler_time_limit_seconds)
    found = registrations.of(request.module, tuple(names))
    if not list(found.items()):
        pytest.fail(
            "there is no handler to test: import your bot's module in the test's file, or set HANDLERS",
            pytrace=False,
        )
    return found


def _alone(
    request: pytest.FixtureRequest, registry: Registry, tables: bool, runs: CrashRuns, stack: ExitStack
) -> Bot:
    meta = Meta()
    connection = stack.enter_context(rolled_back(request.config.getini("bot_database")))
    stack.enter_context(answered_by(meta.play))
    if tables:
        create_tables(connection, registry)
    return Bot(Alone(connection, registry, meta), meta, runs.at_every_crash_point)


def _processes(
    _request: pytest.FixtureRequest, registry: Registry, tables: bool, runs: CrashRuns, stack: ExitStack
) -> Bot:
    from app.testing.processes import open_processes

    meta = Meta()
    processes = stack.enter_context(open_processes(registry, meta, tables))
    return Bot(processes, meta, runs.at_every_crash_point)
