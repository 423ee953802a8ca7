"""A release takes over what the release before has stored, queued and begun: nothing is lost, nothing is done twice.

The release before is the last commit of version 0.1.0, taken from the project's own history. It runs in processes of
its own, on the same stores as today's.
"""

import json
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from app.cli.entry import cli
from app.dev.processes.children import Program
from app.dev.stack.embedded import Server, postgres
from app.dev.stack.readiness import web_is_ready
from app.lanes import pauses
from app.stores import redis_keys
from app.stores.connections import engine, redis
from app.stores.migrate import migrate
from tests.acceptance import handlers_recorded
from tests.acceptance import pipeline as questions
from tests.acceptance.conftest import QUICK, _enter, _environment, _watched
from tests.acceptance.meta import Meta
from tests.acceptance.pipeline import Pipeline
from tests.acceptance.traffic import Item, conversations, message, status_of
from tests.helpers import services as servers
from tests.helpers.stack import Stack

RELEASE_BEFORE = "f1af013"
FOLDERS = ("app", "config", "tasks", "tests")
ROOT = Path(__file__).parents[2]
# Bodies wait here for longer than the default: an event waits for those that were accepted before it
PATIENT = {"ORDER_SETTLE_SECONDS": "30"}
REDIS_PAUSE_MS = 60_000  # at most; it ends earlier
SWEPT_SECONDS = 180  # at most, for what two releases beside each other leave to their sweeps
PROGRAMS = """
import json, sys
from pathlib import Path
from app import pipeline
programs = [pipeline.web(int(sys.argv[1])), pipeline.ingest(1), pipeline.worker(1, 2), pipeline.beat(Path(sys.argv[2]))]
print(json.dumps({program.name: [program.argv, program.env] for program in programs}))
"""
# What the tests of the pipeline ask, of the tables of the release before
STATES_BEFORE = text("SELECT state::text, count(*) FROM events WHERE key = ANY(:keys) GROUP BY state")
BEGUN_BEFORE = text("""
SELECT a.worker FROM attempts a JOIN events e ON e.id = a.event_id WHERE e.key = :key AND a.number = :number
""")
PAUSE = text("""
UPDATE conversations SET paused_at = now(), paused_by = 'ada' WHERE id = (SELECT lane FROM events WHERE key = :key)
""")
LANE = text("SELECT lane FROM events WHERE key = :key")
# Ends by itself in the middle of moving what is finished, an event at a time
KILLED = """
import importlib, os, signal
migrate = importlib.import_module("app.stores.migrate")
migrate.EVENTS_A_PART = 1
move_part = migrate._move_part
def move_and_die():
    assert move_part() and move_part()
    os.kill(os.getpid(), signal.SIGKILL)
migrate._move_part = move_and_die
migrate.migrate()
"""
MOVED = text("SELECT up_to, last FROM finished_events_moved")
STORED = text("SELECT count(*) FROM deliveries WHERE state = 'stored'")
STATUS = text("SELECT status::text FROM message_statuses WHERE message_id = :id")


class ReleaseBefore:
    """The code of the release before, in a directory of its own, and the programs that it consists of."""

    def __init__(self, path: Path, stack: Stack) -> None:
        self._path = path / "release-before"
        self._stack = stack
        archive = path / "release-before.tar"
        git("archive", "--format=tar", "-o", str(archive), RELEASE_BEFORE, *FOLDERS)
        with tarfile.open(archive) as tar:
            tar.extractall(self._path, filter="data")
        lines = json.loads(self.python("-c", PROGRAMS, str(stack.port), str(path / "beat-schedule-before")))
        self._programs = {name: self._program(name, *line) for name, line in lines.items()}

    def python(self, *arguments: str) -> str:
        """Run its code to the end; returns what it prints."""
        done = subprocess.run(
            [sys.executable, *arguments], cwd=self._path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, *names: str) -> None:
        for name in names:
            self._stack.supervisor.start(self._programs[name])

    def _program(self, name: str, argv: list[str], env: dict[str, str]) -> Program:
        """Run it in its own directory, where Python finds its ``app`` before today's."""
        return Program(name, ("sh", "-c", 'cd "$0" && exec "$@"', str(self._path), *argv), env=env)


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True)


class EmptyStack(Stack):
    """Its Postgres has no tables yet."""

    def postgres(self) -> Server:
        return postgres(self.path / "postgres")


@pytest.fixture
def stack() -> Iterator[Stack]:
    try:
        git("rev-parse", "--verify", f"{RELEASE_BEFORE}^{{commit}}")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip(f"the history of this checkout does not reach back to {RELEASE_BEFORE}")
    with servers.directory() as path:
        stack = EmptyStack(path, workers=2, ingests=2)
        try:
            yield stack
        finally:
            stack.end()


def test_a_release_takes_over_from_the_one_before(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    _enter(monkeypatch, _environment(stack) | QUICK | PATIENT)
    before = ReleaseBefore(stack.path, stack)
    before.python("-c", "from app.migrate import migrate; migrate()")
    handlers_recorded.Recorded.metadata.create_all(engine())
    for pipeline in _watched(Pipeline(stack, Meta(stack.url))):
        _hand_over(pipeline, before)
        pipeline.meta.close()


def _hand_over(pipeline: Pipeline, before: ReleaseBefore) -> None:
    stack = pipeline.stack
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(questions, "STATES", STATES_BEFORE)
        patch.setattr(questions, "BEGUN", BEGUN_BEFORE)
        left = _work_of_the_release_before(pipeline, before)

    # The new tables come while all of the release before runs; the migration is killed, and goes on
    killed = subprocess.run([sys.executable, "-c", KILLED], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    up_to, last = pipeline.rows(MOVED)[0]
    assert 0 < up_to < last
    between = conversations(2, 2)
    pipeline.accept(between)
    assert migrate()  # what only the release before reads is still there

    # Both releases consume the same queues, then only the new one does
    for name in ("ingest2", "worker2", "beat"):
        stack.start(name)
    beside = [*conversations(3, 3), *(message(each.user) for each in between)]
    pipeline.accept(beside)
    stack.wait_until(
        lambda: pipeline.effects(beside), SWEPT_SECONDS, "work of the new worker beside the old one"
    )
    for name in ("worker1", "ingest1"):
        stack.stop(name)
        stack.start(name)
    stack.restart("web")
    stack.wait_until_ready()
    assert not migrate(contract=True)
    after = [message(each.user) for each in [*left.done[:4], *left.journalled[:4]]]
    pipeline.accept(after)
    pipeline.wait_for_states(left.paused, pending=len(left.paused))
    pauses.resume(engine(), redis(), pipeline.rows(LANE, key=left.paused[0].key)[0][0], "ada")

    everything = [*left.everything, *between, *beside, *after]
    pipeline.assert_done_once(everything, SWEPT_SECONDS)
    pipeline.assert_in_order(everything)
    attempts = [
        [effect.attempt for effect in pipeline.effects([each])] for each in (left.begun, left.failing)
    ]
    assert attempts == [[2], [3]]
    assert redis().hlen(redis_keys.JOURNAL) == 0

    # A repeat is a duplicate, a dead letter is still there, a status does not go back
    pipeline.accept([*left.done, *left.journalled, *left.stored, status_of(left.done[0], "delivered", 4)])
    marker = message()
    pipeline.accept([marker])
    pipeline.wait_until_done([marker])
    stack.wait_until(lambda: redis().hlen(redis_keys.JOURNAL) == 0)
    pipeline.assert_done_once(everything)
    assert dead_letters() == [left.dead.key]
    assert pipeline.rows(STATUS, id=left.statuses[0].raw["id"]) == [("read",)]


@dataclass(frozen=True, slots=True)
class Left:
    """What the release before has finished, and what it leaves to the new one."""

    done: list[Item]
    statuses: list[Item]
    dead: Item
    begun: Item
    queued: list[Item]
    failing: Item
    paused: list[Item]
    journalled: list[Item]
    stored: list[Item]

    @property
    def everything(self) -> list[Item]:
        """All messages that are to be done in the end."""
        return [*self.done, self.begun, *self.queued, *self.paused, *self.journalled, *self.stored]


def _work_of_the_release_before(pipeline: Pipeline, before: ReleaseBefore) -> Left:
    stack = pipeline.stack
    before.start("web", "ingest1", "worker1", "beat")
    stack.wait_until(lambda: web_is_ready(stack.url), what="the web's readiness")

    # What the release before has finished, and what it gave up
    done = conversations(4, 3)
    statuses = [status_of(done[0], "read", 5), status_of(done[0], "failed", 3)]
    dead = message(permanent="yes")
    pipeline.accept([*done, *statuses, dead])
    pipeline.wait_until_done([*done, *statuses])
    pipeline.wait_for_states([dead], dead=1)

    # A paused conversation, an attempt that its worker has begun, wakes in the queue, bodies in the journal and in the
    # fallback store
    first = message()
    pipeline.accept([first])
    pipeline.wait_until_done([first])
    with engine().begin() as connection:
        connection.execute(PAUSE, {"key": first.key})
    begun = message(block="yes")
    pipeline.accept([begun])
    pipeline.wait_until_begun(begun)
    stack.kill("worker1")
    failing = message(fail=2)
    queued = [*conversations(4, 3), failing]
    paused = [message(first.user) for _ in range(2)]
    pipeline.accept([*queued, *paused])
    pipeline.wait_for_states([*queued, *paused], pending=len(queued) + len(paused))
    stack.stop("ingest1")
    journalled = conversations(4, 3)
    pipeline.accept(journalled)
    stack.stop("beat")
    redis().client_pause(REDIS_PAUSE_MS, all=False)
    stored = conversations(2, 2)
    pipeline.accept(stored)
    assert pipeline.rows(STORED)[0][0] == len(stored)
    redis().client_unpause()
    before.start("ingest1", "worker1")
    return Left([*done, first], statuses, dead, begun, queued, failing, paused, journalled, stored)


def dead_letters() -> list[str]:
    """The keys of the dead letters, as the command prints them."""
    result = CliRunner().invoke(cli, ["dead", "list", "--json", "--reveal"])
    assert result.exit_code == 0, result.output
    return [json.loads(line)["key"] for line in result.output.splitlines()]
