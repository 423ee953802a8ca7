"""A backup of Postgres, as docs/deploying.md says: dumped, restored into another server, and worked on from there."""

import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from app.dev.stack.embedded import postgres
from app.stores.connections import redis
from app.stores.redis_keys import DATABASE_ID
from config.settings import settings
from tests.acceptance import traffic
from tests.acceptance.pipeline import Pipeline
from tests.acceptance.traffic import Item, conversation, conversations, message
from tests.conftest import _reset
from tests.helpers.graph import GraphStandIn, graph_stand_in

HANDLERS = "tests.acceptance.handlers_recorded,tests.acceptance.handlers_restored"
WORKING = ("ingest1", "worker1", "sender1", "beat")
JOBS = 2  # of each text: the recorded one, and its reply
SENDS = text("SELECT state::text, count(*) FROM sends GROUP BY state")
RESTORED = "postgres-restored"


def dump(pipeline: Pipeline) -> Path:
    path = pipeline.stack.path / "neverdrop.dump"
    run(pipeline, "pg_dump", "--format=custom", f"--file={path}", f"--dbname={settings().database_url}")
    return path


def restore(pipeline: Pipeline, dumped: Path, patch: pytest.MonkeyPatch) -> None:
    """Lose the server, restore the dump into an empty one, and start everything on that."""
    stack = pipeline.stack
    stack.stop("web")
    stack.stop("postgres")
    server = postgres(stack.path / RESTORED)
    stack.supervisor.start(replace(server.program, name=RESTORED))
    stack.wait_until(server.answers)
    run(pipeline, "pg_restore", "--no-owner", "--exit-on-error", f"--dbname={server.url}", str(dumped))
    redis().delete(DATABASE_ID)
    patch.setenv("DATABASE_URL", server.url)
    _reset()
    for name in ("web", *WORKING):
        stack.start(name)
    stack.wait_until_ready()


def run(pipeline: Pipeline, program: str, *arguments: str) -> None:
    """Run a program of Postgres's, of the servers' own release."""
    done = subprocess.run(
        [pipeline.stack.postgres_programs / program, *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def words(sent: Iterable[Item]) -> list[str]:
    return sorted(each.raw["text"]["body"] for each in sent)


def states(pipeline: Pipeline) -> dict[str, int]:
    return dict(pipeline.rows(SENDS))


def runs(pipeline: Pipeline, sent: Iterable[Item]) -> "Counter[int]":
    return Counter(effect.number for effect in pipeline.effects(sent))


@pytest.fixture(autouse=True)
def sent_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """The window in which a text may be answered is open."""
    monkeypatch.setattr(traffic, "NOW", int(time.time()))


@pytest.fixture
def graph() -> Iterator[GraphStandIn]:
    with graph_stand_in() as stand_in:
        yield stand_in


def begin(start_pipeline: Callable[..., Pipeline], graph: GraphStandIn) -> Pipeline:
    return start_pipeline(
        senders=1, HANDLERS=HANDLERS, WHATSAPP_API_URL=graph.url, WHATSAPP_ACCESS_TOKEN="token"
    )


def test_a_dump_of_what_stood_still_loses_nothing_and_repeats_nothing(
    start_pipeline: Callable[..., Pipeline], graph: GraphStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Web goes on: what it accepts meanwhile waits in Redis's journal."""
    pipeline = begin(start_pipeline, graph)
    stack = pipeline.stack
    done = conversations(3, 2)
    dead = message(permanent="yes")
    held, behind = conversation(2, waits="yes")
    pipeline.accept([*done, dead, held, behind])
    pipeline.wait_for_states(done, done=len(done) * JOBS)
    pipeline.wait_for_states([dead], dead=1, done=1)
    pipeline.wait_for_states([held, behind], pending=2, done=2)
    stack.wait_until(lambda: len(graph.texts) == len(done) + 1, what="the replies")
    stack.stop("sender1")
    unsent = message()
    pipeline.accept([unsent])
    pipeline.wait_for_states([unsent], done=JOBS)
    for name in set(WORKING) - {"sender1"}:
        stack.stop(name)
    before = message()
    pipeline.accept([before])
    dumped = dump(pipeline)
    after = message()
    pipeline.accept([after])

    restore(pipeline, dumped, monkeypatch)

    pipeline.wait_for_states([before, after, unsent], done=3 * JOBS)
    for each in (held, behind):
        pipeline.open_gate(each)
    pipeline.wait_for_states([held, behind], done=2 * JOBS)
    everything = [*done, dead, held, behind, unsent, before, after]
    stack.wait_until(lambda: len(graph.texts) >= len(everything), what="the replies")
    pipeline.accept(everything)  # as Meta repeats, of which nothing is new
    probe = message()
    pipeline.accept([probe])
    pipeline.wait_for_states([probe], done=JOBS)
    stack.wait_until(lambda: states(pipeline) == {"accepted": len(everything) + 1}, what="the last reply")
    assert pipeline.states([dead]) == {"dead": 1, "done": 1}
    assert set(runs(pipeline, everything).values()) == {1}
    assert len(runs(pipeline, everything)) == len(everything) - 1  # the dead one has committed nothing
    assert sorted(graph.texts) == words([*everything, probe])


def test_a_dump_of_an_earlier_moment_repeats_what_came_after_it_and_works_on(
    start_pipeline: Callable[..., Pipeline], graph: GraphStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis knows numbers of rows that are others after the restore: they hold up nothing."""
    pipeline = begin(start_pipeline, graph)
    stack = pipeline.stack
    done, (waits,) = conversations(2, 2), conversation(1, waits="yes")
    pipeline.accept([*done, waits])
    pipeline.wait_for_states(done, done=len(done) * JOBS)
    pipeline.wait_for_states([waits], pending=1, done=1)
    stack.wait_until(lambda: states(pipeline) == {"accepted": len(done)}, what="the replies")
    dumped = dump(pipeline)
    lost = [*conversations(2, 2), message(permanent="yes")]
    pipeline.accept(lost)
    pipeline.open_gate(waits)
    pipeline.wait_for_states([*lost, waits], done=(len(lost) + 1) * JOBS - 1, dead=1)
    stack.wait_until(lambda: len(graph.texts) == len([*done, *lost, waits]), what="the replies")
    for name in WORKING:
        stack.stop(name)

    restore(pipeline, dumped, monkeypatch)

    pipeline.wait_for_states([waits], done=JOBS)
    new = conversations(4, 2)
    pipeline.accept(new)
    pipeline.wait_for_states(new, done=len(new) * JOBS)
    assert pipeline.states(lost) == {}
    assert set(runs(pipeline, [*done, waits, *new]).values()) == {1}
    pipeline.accept([*done, waits])
    pipeline.accept([dead := message(permanent="yes")])
    pipeline.wait_for_states([dead], dead=1, done=1)
    expected = len(done) + 1 + len(new) + 1
    stack.wait_until(lambda: states(pipeline) == {"accepted": expected}, what="the replies")
    times = Counter(graph.texts)
    assert times[waits.raw["text"]["body"]] == 2  # since it had not left before the dump
    assert times == Counter(words([*done, *lost, waits, waits, *new, dead]))
