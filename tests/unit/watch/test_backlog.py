"""What the backlog's numbers mean."""

from app.watch.backlog import Backlog, PostgresBacklog, RedisBacklog, consumers


def test_the_size_is_all_that_is_not_final_wherever_it_is() -> None:
    backlog = Backlog(PostgresBacklog(deliveries=2, pending=30, dead_letters=7), RedisBacklog(journal=400))
    assert backlog.size == 432


def test_dead_letters_are_final_and_counted_apart() -> None:
    assert Backlog(PostgresBacklog(dead_letters=7), RedisBacklog()).size == 0
    assert Backlog(PostgresBacklog(dead_letters=7), RedisBacklog()).dead_letters == 7


def test_the_oldest_is_looked_for_in_all_three_places() -> None:
    stored = PostgresBacklog(deliveries_oldest_seconds=20.0, pending_oldest_seconds=30.0)
    assert Backlog(stored, RedisBacklog(journal_oldest_seconds=10.0)).oldest_seconds == 30.0
    assert Backlog(stored, RedisBacklog(journal_oldest_seconds=40.0)).oldest_seconds == 40.0


def test_nothing_unfinished_has_no_age() -> None:
    assert Backlog(PostgresBacklog(), RedisBacklog()).oldest_seconds == 0


def test_growth_is_unknown_without_a_sample() -> None:
    assert Backlog(PostgresBacklog(pending=5), RedisBacklog()).growth is None
    assert Backlog(PostgresBacklog(pending=5, size_before=8), RedisBacklog(journal=1)).growth == -2


def test_a_worker_counts_for_each_queue_that_it_consumes() -> None:
    workers = {
        "ingest@a": frozenset({"webhooks", "maintenance"}),
        "worker@a": frozenset({"conversations"}),
        "worker@b": frozenset({"conversations"}),
    }
    backlog = Backlog(PostgresBacklog(), RedisBacklog(workers=workers))
    assert (backlog.workers, backlog.ingests) == (2, 1)
    assert consumers(backlog.transport, "dead_letters") == 0
