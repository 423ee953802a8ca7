"""The plugin: options, the marker ``bot``, and the fixtures. What they need is imported when a test asks for one."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from app.testing.registrations import Registrations

if TYPE_CHECKING:
    from app.testing import Bot, Meta
    from app.testing.stores import BotStores

DEPTHS = ("bot", "pipeline", "stack")
MARKER = (
    'bot(depth, handlers=None, tables=True): how deep the fixture `bot` goes ("bot", "pipeline", "stack"), the modules'
    " of the handlers if not those that the test imports, and whether the tables of their models are created"
)

registrations = Registrations()


def pytest_addoption(parser: pytest.Parser) -> None:
    help_ = (
        "how deep `bot` goes where no marker says: bot (the handlers alone), pipeline (real stores), stack"
    )
    parser.getgroup("neverdrop").addoption("--bot-depth", choices=DEPTHS, help=help_)
    parser.addini("bot_depth", help_, default=DEPTHS[0])
    parser.addini("bot_database", "the SQLAlchemy URL that handlers alone run on", default="sqlite://")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[Any]:
    """Let each test file import a bot of its own: several in one process would claim the same events."""
    if not isinstance(collector, pytest.Module):
        return (yield)
    with registrations.of_a_file():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[Any]:
    """Fail a test at its end if an attempt failed that it said nothing about."""
    result = yield
    bot: Any = getattr(pyfuncitem, "funcargs", {}).get("bot")
    if type(bot).__module__ == "app.testing.bot":
        bot.close()
    return result


@pytest.fixture(scope="session")
def neverdrop_stores() -> Iterator["BotStores"]:
    """Valkey and Postgres for the depth ``pipeline``, started for the first test that asks."""
    from app.testing.stores import running_stores

    with running_stores() as stores:
        yield stores


@pytest.fixture
def bot(request: pytest.FixtureRequest) -> Iterator["Bot"]:
    """The bot under test: its handlers, its users, and a double that plays Meta."""
    from app.testing.opening import open_bot

    with ExitStack() as stack:
        yield open_bot(request, registrations, stack)


@pytest.fixture
def meta(bot: "Bot") -> "Meta":
    """Who plays Meta for ``bot``: ``meta.next(131056)`` has the next send refused by that code."""
    return bot.meta
