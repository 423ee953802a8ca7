"""A running pipeline for the acceptance tests: one for all of them that leave it as they found it.

Starting one takes several seconds, killing a process in it does not. So most tests take the shared one and harm
it; what is missing or stopped afterwards is started again for the next.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from app.stores.connections import engine
from tests.acceptance import handlers_recorded
from tests.acceptance.meta import Meta
from tests.acceptance.pipeline import Pipeline
from tests.conftest import ENVIRONMENT, _reset
from tests.helpers import services as servers
from tests.helpers.stack import Stack

# What was lost is missed within seconds; the defaults have a test of their own
QUICK = {"CLAIM_LEASE_SECONDS": "2", "SWEEP_GRACE_SECONDS": "1"}
SHARED = ("valkey", "postgres", "web", "ingest1", "worker1", "worker2", "beat")
HERE = Path(__file__).parent
TIMEOUT_SECONDS = 240  # of one test, with the start of the processes on a busy machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == HERE and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(TIMEOUT_SECONDS))


@dataclass(frozen=True, slots=True)
class Shared:
    """The shared pipeline, and the environment that a test must have to speak with it."""

    pipeline: Pipeline
    environment: dict[str, str]


@pytest.fixture(scope="package")
def shared() -> Iterator[Shared]:
    """A pipeline with two workers, whose environment is not left in the test run."""
    with servers.directory() as path:
        stack = Stack(path, workers=2)
        try:
            with pytest.MonkeyPatch.context() as patch:
                environment = _environment(stack) | QUICK
                pipeline = _begin(stack, patch, environment)
            _reset()
            yield Shared(pipeline, environment)
            pipeline.meta.close()
        finally:
            stack.end()


@pytest.fixture
def pipeline(shared: Shared, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pipeline]:
    """The shared pipeline, with everything running."""
    _enter(monkeypatch, shared.environment)
    _restart_ended(shared.pipeline.stack)
    yield from _watched(shared.pipeline)


@pytest.fixture
def start_pipeline(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Pipeline]]:
    """Starts one of the test's own: ``start_pipeline(workers=4, CLAIM_LEASE_SECONDS="30")``.

    Lower-case arguments are ``Stack``'s, the others its environment.
    """
    with ExitStack() as started:
        yield lambda **options: started.enter_context(own_pipeline(monkeypatch, **options))


@contextmanager
def own_pipeline(patch: pytest.MonkeyPatch, **options: Any) -> Iterator[Pipeline]:
    """A pipeline of a test's or a module's own, with ``start_pipeline``'s options."""
    variables = {name: value for name, value in options.items() if name.isupper()}
    with servers.directory() as path:
        stack = Stack(path, **{name: value for name, value in options.items() if name not in variables})
        try:
            pipeline = _begin(stack, patch, _environment(stack) | variables)
            yield from _watched(pipeline)
            pipeline.meta.close()
        finally:
            stack.end()


def _environment(stack: Stack) -> dict[str, str]:
    """Starts the stores that it names."""
    gates = stack.path / "gates"
    gates.mkdir()
    return {
        **ENVIRONMENT,
        # Of another application on the same platform; Celery itself would believe them
        "BROKER_URL": "redis://127.0.0.1:1/0",
        "CELERY_BROKER_URL": "redis://127.0.0.1:1/0",
        **stack.open_stores(),
        "HANDLERS": handlers_recorded.__name__,
        "PYTHONPATH": str(HERE.parents[1]),
        handlers_recorded.GATES: str(gates),
    }


def _enter(patch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    for name, value in environment.items():
        patch.setenv(name, value)
    _reset()


def _begin(stack: Stack, patch: pytest.MonkeyPatch, environment: dict[str, str]) -> Pipeline:
    _enter(patch, environment)
    stack.begin()
    handlers_recorded.Recorded.metadata.create_all(engine())
    return Pipeline(stack, Meta(stack.url))


def _watched(pipeline: Pipeline) -> Iterator[Pipeline]:
    """For one test: its log is shown if it fails."""
    try:
        yield pipeline
    finally:
        _reset()
        print(pipeline.stack.log())  # noqa: T201  (pytest shows it with a failed test only)


def _restart_ended(stack: Stack) -> None:
    """Start what an earlier test has left killed or stopped."""
    missing = [name for name in SHARED if not stack.process(name).alive]
    for name in set(SHARED) - set(missing):
        stack.resume(name)
    for name in missing:
        stack.start(name)
    if missing:
        stack.wait_until_ready()
