"""Requests that arrive while a write is under way are written together by the next one."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from app import group_commit
from app.group_commit import GroupCommit, NotWritten

PATIENCE_SECONDS = 20
MEMBERS = 8


class Store:
    """Keeps what is written, group by group; while ``gate`` is closed a write does not end."""

    def __init__(self) -> None:
        self.groups: list[list[bytes]] = []
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()
        self.error: BaseException | None = None

    def write(self, items: Sequence[bytes]) -> None:
        group = list(items)
        self.begun.release()
        assert self.gate.wait(PATIENCE_SECONDS)
        if self.error is not None:
            raise self.error
        self.groups.append(group)


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2 * MEMBERS) as pool:
        yield pool


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def waiting(commit: GroupCommit) -> int:
    """Members of the group that is still open."""
    return len(commit._open.items) if commit._open else 0


def submit_while_writing(
    commit: GroupCommit, store: Store, pool: ThreadPoolExecutor, items: Sequence[bytes]
) -> tuple["Future[None]", list["Future[None]"]]:
    """One submission whose write has begun and does not end, and others that came meanwhile."""
    store.gate.clear()
    first = pool.submit(commit.submit, b"first")
    assert store.begun.acquire(timeout=PATIENCE_SECONDS)
    rest = [pool.submit(commit.submit, item) for item in items]
    wait_for(lambda: waiting(commit) == len(items))
    return first, rest


def test_a_request_alone_is_written_at_once(store: Store) -> None:
    GroupCommit(store.write).submit(b"alone")
    assert store.groups == [[b"alone"]]


def test_what_arrives_during_a_write_is_written_by_the_next_one(
    store: Store, pool: ThreadPoolExecutor
) -> None:
    items = [b"%d" % n for n in range(MEMBERS)]
    first, rest = submit_while_writing(GroupCommit(store.write), store, pool, items)
    store.gate.set()
    for future in (first, *rest):
        future.result(PATIENCE_SECONDS)
    assert [sorted(group) for group in store.groups] == [[b"first"], items]


def test_nobody_is_told_of_success_before_the_write_that_holds_the_item(
    store: Store, pool: ThreadPoolExecutor
) -> None:
    first, rest = submit_while_writing(GroupCommit(store.write), store, pool, [b"a", b"b"])
    assert not any(future.done() for future in (first, *rest))
    store.gate.set()
    for future in (first, *rest):
        future.result(PATIENCE_SECONDS)


def test_a_failed_write_fails_every_member_and_no_later_one(store: Store, pool: ThreadPoolExecutor) -> None:
    commit = GroupCommit(store.write)
    store.error = OSError("no room")
    _, rest = submit_while_writing(commit, store, pool, [b"a", b"b", b"c"])
    store.gate.set()
    for future in rest:
        with pytest.raises(NotWritten, match="no room"):
            future.result(PATIENCE_SECONDS)
    store.error = None
    commit.submit(b"later")
    assert store.groups == [[b"later"]]


def test_a_leader_that_is_made_to_exit_leaves_nobody_waiting(store: Store, pool: ThreadPoolExecutor) -> None:
    commit = GroupCommit(store.write)
    store.error = SystemExit()
    first, rest = submit_while_writing(commit, store, pool, [b"a", b"b"])
    store.gate.set()
    ended = [future.exception(PATIENCE_SECONDS) for future in (first, *rest)]
    assert [type(error) for error in ended].count(SystemExit) == 2  # the leaders of the two groups
    assert [type(error) for error in ended].count(NotWritten) == 1
    store.error = None
    commit.submit(b"later")
    assert store.groups == [[b"later"]]


def test_a_group_holds_so_many_items(
    store: Store, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MAX_ITEMS", 3)
    commit = GroupCommit(store.write)
    first, rest = submit_while_writing(commit, store, pool, [b"a", b"b", b"c"])
    one_more = pool.submit(commit.submit, b"d")
    wait_for(lambda: waiting(commit) == 1)
    store.gate.set()
    for future in (first, *rest, one_more):
        future.result(PATIENCE_SECONDS)
    assert sorted(len(group) for group in store.groups) == [1, 1, 3]


def test_a_group_holds_so_many_bytes_and_a_larger_item_is_alone(
    store: Store, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_commit, "MAX_BYTES", 10)
    commit = GroupCommit(store.write)
    first, rest = submit_while_writing(commit, store, pool, [b"12345", b"1234"])
    large = pool.submit(commit.submit, b"12345678901")
    wait_for(lambda: waiting(commit) == 1)
    small = pool.submit(commit.submit, b"1")
    wait_for(lambda: commit._open is not None and commit._open.items == [b"1"])
    store.gate.set()
    for future in (first, *rest, large, small):
        future.result(PATIENCE_SECONDS)
    assert [b"12345678901"] in store.groups


def test_a_turn_that_does_not_come_is_given_up(store: Store, pool: ThreadPoolExecutor) -> None:
    commit = GroupCommit(store.write, wait_seconds=0.01)
    store.gate.clear()
    first = pool.submit(commit.submit, b"first")
    assert store.begun.acquire(timeout=PATIENCE_SECONDS)
    with pytest.raises(NotWritten, match="take too long"):
        commit.submit(b"second")
    store.gate.set()
    first.result(PATIENCE_SECONDS)
    commit.submit(b"third")
    assert store.groups == [[b"first"], [b"third"]]


def test_a_storm_of_requests_loses_and_repeats_none(store: Store, pool: ThreadPoolExecutor) -> None:
    commit = GroupCommit(store.write)
    items = [b"%d" % n for n in range(2_000)]
    list(pool.map(commit.submit, items))
    assert sorted(item for group in store.groups for item in group) == sorted(items)
