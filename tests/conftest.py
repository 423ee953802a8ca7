"""Real Valkey and Postgres for the tests that ask for them, and a clean database for each test.

Each process of the test run has servers of its own. A test gets a copy of a migrated template database and
an empty Valkey with ``appendfsync always``.
"""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from config.settings import Settings
from config.settings import settings as current_settings
from tests.helpers import services as servers
from tests.helpers.cluster import TEMPLATE, running_services
from tests.helpers.core import Core, make_core
from tests.helpers.environment import reset as _reset
from tests.helpers.factories import APP_SECRET
from tests.helpers.order import shares
from tests.helpers.services import Services
from tests.helpers.stack import Stack

TIERS = ("unit", "integration", "acceptance", "browser", "hostile")
# Files with tests that take ten seconds and more, mostly waiting, the longest first
LONG = (
    "test_up", "test_develop", "test_alerts_without_stores", "test_it_comes_back_by_itself", "test_chaos",
    "test_upgrade", "test_processes", "test_examples", "test_sbom", "test_scale", "test_personal_data",
    "test_two_deployments", "test_bursts", "test_demo", "test_bench", "test_one_reply", "test_accessibility",
    "test_targets", "test_wrong_clocks", "test_stack", "test_stored_means_finished", "test_acked_means_stored",
    "test_failure_is_loud",
    "test_acl", "test_other_user", "test_whole_way", "test_flower_secrets", "test_statuses_never_go_back",
)  # fmt: skip
SHARED_PIPELINE = "pipeline"  # the fixture
VERIFY_TOKEN = "test-verify-token"
ENVIRONMENT = {
    "NEVERDROP_ENV": "development",
    "WHATSAPP_APP_SECRET": APP_SECRET,
    "WHATSAPP_VERIFY_TOKEN": VERIFY_TOKEN,
}

numbers = count(1)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two for each core: most long tests wait, for a lease to run out or a process to start."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A test's tier is the directory it is in; long tests come first."""
    here = Path(__file__).parent
    for item in items:
        tier = item.path.relative_to(here).parts[0]
        if tier in TIERS[1:]:
            item.add_marker(tier)
    processes = getattr(config, "workerinput", {}).get("workercount", 1)
    if processes > 1:
        shared = [item for item in items if SHARED_PIPELINE in getattr(item, "fixturenames", ())]
        long = [[item for item in items if item.path.stem == name and item not in shared] for name in LONG]
        first = {item for tests in (shared, *long) for item in tests}
        rest = [item for item in items if item not in first]
        items[:] = shares(shared, long, rest, processes)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """A browser of an earlier test keeps its event loop running in this thread: nobody else is to see it."""
    with _without_the_browsers_loop(item):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    with _without_the_browsers_loop(item):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    if nextitem is None:  # the browser ends now
        yield
        return
    with _without_the_browsers_loop(item):
        yield


@contextmanager
def _without_the_browsers_loop(item: pytest.Item) -> Iterator[None]:
    running = None if item.get_closest_marker("browser") else asyncio._get_running_loop()
    if running is None:
        yield
        return
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(running)


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """The servers of this process of the test run, with the migrated template database."""
    with servers.directory() as path, running_services(path) as running:
        yield running


@pytest.fixture
def redis_url(services: Services) -> str:
    """An empty Valkey."""
    client = Redis.from_url(services.redis_url)
    client.flushall()
    client.close()
    return services.redis_url


@pytest.fixture
def database_url(services: Services) -> Iterator[str]:
    """A database of the test's own, with all tables and no rows."""
    name = f"test_{next(numbers)}"
    # Its files are copied: through the log, which is the default, takes three times as long
    copied = f"TEMPLATE {TEMPLATE} STRATEGY FILE_COPY"
    servers.execute(services.postgres_url, f"CREATE DATABASE {name} {copied}")
    yield servers.database(services.postgres_url, name)
    servers.execute(services.postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def env(
    redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Settings]]:
    """Points the process at the test's stores; ``env(CLAIM_LEASE_SECONDS="1")`` sets more."""

    def configure(**variables: str) -> Settings:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        _reset()
        return current_settings()

    configure(**ENVIRONMENT, REDIS_URL=redis_url, DATABASE_URL=database_url)
    yield configure
    _reset()


@pytest.fixture
def settings(env: Callable[..., Settings]) -> Settings:
    """The settings of a process that has the test's stores."""
    return env()


@pytest.fixture
def core(settings: Settings, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Core:
    """The core in the test's own stores, with the handlers that the marker names: ``make_core``'s arguments."""
    marker = request.node.get_closest_marker("core")
    return make_core(monkeypatch, **(marker.kwargs if marker else {}))


@pytest.fixture
def start_stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Stack]]:
    """Starts the real processes on stores of their own: ``start_stack(workers=2, HANDLERS="my_handlers")``.

    Lower-case arguments are ``Stack``'s, the others the environment of all processes and of the test itself;
    ``kind`` is a class to take instead of ``Stack``. Everything is ended after the test; its log is shown if the
    test failed.
    """
    with ExitStack() as started:
        yield lambda **options: started.enter_context(_stack(monkeypatch, options))


@contextmanager
def _stack(monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]) -> Iterator[Stack]:
    kind = options.pop("kind", Stack)
    variables = {name: value for name, value in options.items() if name.isupper()}
    with servers.directory() as path:
        stack = kind(path, **{name: value for name, value in options.items() if name not in variables})
        try:
            for name, value in (ENVIRONMENT | variables | stack.open_stores()).items():
                monkeypatch.setenv(name, value)
            _reset()
            stack.begin()
            yield stack
        finally:
            stack.end()
            _reset()
            print(stack.log())  # noqa: T201  (pytest shows it with a failed test only)
