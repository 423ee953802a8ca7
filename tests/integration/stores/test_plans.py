"""What Postgres reads for a statement when its statistics are of a quiet hour, and now it is busy."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from app.lanes.sql import DIE, HAND_OVER, HEADS, RETRY
from app.recovery import sweeper
from app.stores.connections import engine
from app.stores.models import JobState
from config.settings import Settings
from tests.helpers.rows import add_events, ago

DONE, WAITING = 2_000, 500  # enough for plans that differ by the work of seconds in tables of years
FEW = 5

# Of this transaction
ROWS_READ = "SELECT seq_tup_read, idx_tup_fetch FROM pg_stat_xact_user_tables WHERE relname = 'jobs'"

AFTER_A_QUIET_NIGHT = {
    "lane_heads": "EXECUTE lane_heads (ARRAY[{lane}]::bigint[], 8, 30.0)",
    "lane_retry": "EXECUTE lane_retry ({id}, 0::smallint, 1.0, true, 'error', 'traceback', 0::smallint)",
    "lane_die": "EXECUTE lane_die ({id}, 0::smallint, 'error', 'traceback')",
    "due_lanes": sweeper.DUE_LANES.text,
    "lanes_after": sweeper.LANES_AFTER.text.replace(":grace_seconds", "0")
    .replace(":after", "{lane} - 1")
    .replace(":at_most", "1"),
}


@pytest.fixture
def busy_after_a_quiet_night(settings: Settings) -> tuple[int, int]:
    """Everything was done when the statistics were taken. The lane and the id of one of many events that wait now."""
    add_events(engine(), DONE, state=JobState.DONE, attempts=1, finished_at=ago(3600))
    with engine().connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))
    waiting = add_events(engine(), WAITING)
    with engine().begin() as connection:
        connection.execute(text("INSERT INTO conversations (id, key) SELECT lane, lane FROM jobs"))
        lane = connection.scalar(text("SELECT lane FROM event_jobs WHERE id = :id"), {"id": waiting[-1]})
    return lane, waiting[-1]


@pytest.mark.parametrize("statement", AFTER_A_QUIET_NIGHT)
def test_a_statement_about_one_event_reads_no_others_that_wait(
    busy_after_a_quiet_night: tuple[int, int], statement: str
) -> None:
    lane, id_ = busy_after_a_quiet_night
    asked = AFTER_A_QUIET_NIGHT[statement].format(lane=lane, id=id_)
    with engine().connect() as connection:
        for prepared in (HEADS, RETRY, DIE):
            connection.exec_driver_sql(prepared)
        for mode in ("force_custom_plan", "force_generic_plan"):
            connection.exec_driver_sql(f"SET plan_cache_mode = {mode}")
            if statement == "due_lanes":
                connection.execute(sweeper.BY_INDEX)
            (found,) = connection.execute(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {asked}")).scalar_one()
            scans = list(_scans_of_jobs(found["Plan"]))
            assert scans
            assert sum(map(_read, scans)) <= FEW, found
            connection.rollback()


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_the_functions_that_finish_and_begin_jobs_read_no_others_that_wait(
    busy_after_a_quiet_night: tuple[int, int], mode: str
) -> None:
    lane, id_ = busy_after_a_quiet_night
    with engine().connect() as connection:
        connection.exec_driver_sql(f"SET plan_cache_mode = {mode}")
        connection.exec_driver_sql("UPDATE jobs SET attempts = 1, begun_at = now() WHERE id = %s", (id_ - 1,))
        connection.exec_driver_sql("UPDATE lanes SET current_job_id = %s", (id_ - 1,))
        connection.exec_driver_sql(HAND_OVER)
        before = connection.exec_driver_sql(ROWS_READ).one()
        connection.exec_driver_sql(
            f"EXECUTE lane_hand_over (ARRAY[{id_ - 1}], ARRAY[1], ARRAY[{lane}], ARRAY[{id_}], ARRAY[0], ARRAY['bot'],"
            " ARRAY[NULL::bigint], 'worker', false)"
        ).one()
        read = connection.exec_driver_sql(ROWS_READ).one()
        assert read[0] - before[0] + read[1] - before[1] <= FEW * 2
        assert connection.scalar(text("SELECT attempts FROM jobs WHERE id = :id"), {"id": id_}) == 1
        connection.rollback()


def _scans_of_jobs(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if node.get("Relation Name") == "jobs" and "Scan" in node["Node Type"]:
        yield node
    for part in node.get("Plans", ()):
        yield from _scans_of_jobs(part)


def _read(scan: dict[str, Any]) -> float:
    """Rows that it looked at, those that it did not want too."""
    rows: float = scan["Actual Rows"] + scan.get("Rows Removed by Filter", 0)
    loops: int = scan["Actual Loops"]
    return rows * loops
