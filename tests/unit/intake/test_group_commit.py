"""Requests that arrive while a write is under way are written together by the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps

import pytest

from app.intake import group_commit
from app.intake.group_commit import GroupCommit, NotWritten

PATIENCE_SECONDS = 20
MEMBERS = 8


def on_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test that runs on an event loop of its own."""

    @wraps(test)
    def run(*args: object, **fixtures: object) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await test(*args, **fixtures)

        asyncio.run(bounded())

    return run


class Store:
    """Keeps what is written, group by group; while ``gate`` is closed a write does not end."""

    def __init__(self) -> None:
        self.groups: list[list[bytes]] = []
        self.begun = asyncio.Semaphore(0)
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: BaseException | None = None

    async def write(self, items: Sequence[bytes]) -> None:
        group = list(items)
        self.begun.release()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.groups.append(group)


@pytest.fixture
def store() -> Store:
    return Store()


async def submit_while_writing(
    commit: GroupCommit, store: Store, items: Sequence[bytes]
) -> "list[asyncio.Future[None]]":
    """One submission whose write has begun and does not end, and others that came meanwhile."""
    store.gate.clear()
    first = commit.submit(b"first")
    await store.begun.acquire()
    return [first, *(commit.submit(item) for item in items)]


async def failure(submitted: "asyncio.Future[None]") -> BaseException:
    with pytest.raises(NotWritten) as caught:
        await submitted
    assert caught.value.__cause__ is not None
    return caught.value.__cause__


@on_loop
async def test_a_request_alone_is_written_at_once(store: Store) -> None:
    await GroupCommit(store.write).submit(b"alone")
    assert store.groups == [[b"alone"]]


@on_loop
async def test_what_arrives_during_a_write_is_written_by_the_next_one(store: Store) -> None:
    items = [b"%d" % n for n in range(MEMBERS)]
    submitted = await submit_while_writing(GroupCommit(store.write), store, items)
    store.gate.set()
    await asyncio.gather(*submitted)
    assert store.groups == [[b"first"], items]


@on_loop
async def test_nobody_is_told_of_success_before_the_write_that_holds_the_item(store: Store) -> None:
    told_at_the_end_of_each_write = []

    async def write(items: Sequence[bytes]) -> None:
        await store.write(items)
        told_at_the_end_of_each_write.append([future.done() for future in submitted])

    submitted = await submit_while_writing(GroupCommit(write), store, [b"a", b"b"])
    store.gate.set()
    await asyncio.gather(*submitted)
    assert told_at_the_end_of_each_write == [[False, False, False], [True, False, False]]


@on_loop
async def test_a_failed_write_fails_every_member_and_no_later_one(store: Store) -> None:
    commit = GroupCommit(store.write)
    store.error = OSError("no room")
    submitted = await submit_while_writing(commit, store, [b"a", b"b", b"c"])
    store.gate.set()
    assert [await failure(future) for future in submitted] == [store.error] * len(submitted)
    store.error = None
    await commit.submit(b"later")
    assert store.groups == [[b"later"]]


@on_loop
async def test_one_who_gives_up_waiting_changes_nothing_for_the_others(store: Store) -> None:
    first, gone, other = await submit_while_writing(GroupCommit(store.write), store, [b"a", b"b"])
    gone.cancel()
    store.gate.set()
    await asyncio.gather(first, other)
    assert store.groups == [[b"first"], [b"a", b"b"]]


@on_loop
async def test_a_writer_that_is_made_to_end_leaves_nobody_waiting(store: Store) -> None:
    commit = GroupCommit(store.write)
    submitted = await submit_while_writing(commit, store, [b"a", b"b"])
    assert commit._writer is not None
    commit._writer.cancel()
    for future in submitted:
        assert isinstance(await failure(future), asyncio.CancelledError)
    store.gate.set()
    await commit.submit(b"later")
    assert store.groups == [[b"later"]]


@on_loop
async def test_a_group_holds_so_many_items(store: Store) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_commit, "MAX_ITEMS", 3)
        submitted = await submit_while_writing(GroupCommit(store.write), store, [b"a", b"b", b"c", b"d"])
        store.gate.set()
        await asyncio.gather(*submitted)
    assert store.groups == [[b"first"], [b"a", b"b", b"c"], [b"d"]]


@on_loop
async def test_a_group_holds_so_many_bytes_and_a_larger_item_is_alone(store: Store) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_commit, "MAX_BYTES", 10)
        items = [b"12345", b"1234", b"12345678901", b"1"]
        submitted = await submit_while_writing(GroupCommit(store.write), store, items)
        store.gate.set()
        await asyncio.gather(*submitted)
    assert store.groups == [[b"first"], [b"12345", b"1234"], [b"12345678901"], [b"1"]]


@on_loop
async def test_a_turn_that_does_not_come_is_given_up(store: Store) -> None:
    commit = GroupCommit(store.write, wait_seconds=0.01)
    submitted = await submit_while_writing(commit, store, [b"second"])
    for future in submitted:
        assert isinstance(await failure(future), TimeoutError)
    store.gate.set()
    await commit.submit(b"third")
    assert store.groups == [[b"third"]]


@on_loop
async def test_a_storm_of_requests_loses_and_repeats_none(store: Store) -> None:
    commit = GroupCommit(store.write)
    items = [b"%d" % n for n in range(2_000)]

    async def client(mine: Sequence[bytes]) -> None:
        for item in mine:
            await commit.submit(item)

    await asyncio.gather(*(client(items[place::MEMBERS]) for place in range(MEMBERS)))
    assert sorted(item for group in store.groups for item in group) == sorted(items)
