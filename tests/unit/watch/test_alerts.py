"""When an alert is raised and when it is cleared."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from app.watch.backlog import Backlog, PostgresBacklog, RedisBacklog
from app.watch.conditions import Action, AlertName, AlertState, Condition, conditions, judge
from config.settings import Settings, load

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ALIVE = {"ingest@a": frozenset({"webhooks"}), "worker@a": frozenset({"conversations"})}
QUIET = Backlog(PostgresBacklog(size_before=0), RedisBacklog(workers=ALIVE))
RAISED = AlertState(raised=True)


@pytest.fixture
def thresholds() -> Settings:
    return load(
        neverdrop_env="development",
        alert_backlog_size=100,
        alert_backlog_growth=50,
        alert_oldest_seconds=60,
        alert_dead_letters=1,
        alert_no_worker_seconds=30,
    )


def stored(**numbers: object) -> Backlog:
    return Backlog(replace(QUIET.stored, **numbers), QUIET.transport)


def changes(measured: Backlog, settings: Settings, **states: AlertState) -> dict[AlertName, Action]:
    return {change.name: change.action for change in judge(conditions(measured, settings), states, NOW)}


def test_a_quiet_pipeline_changes_nothing(thresholds: Settings) -> None:
    assert changes(QUIET, thresholds) == {}


@pytest.mark.parametrize(
    ("name", "bad", "between", "good"),
    [
        ("backlog_size", {"pending": 100, "size_before": 100}, {"pending": 85, "size_before": 85}, {}),
        ("backlog_growth", {"pending": 50}, {"pending": 45}, {"pending": 39}),
        (
            "backlog_age",
            {"pending_oldest_seconds": 60.0},
            {"pending_oldest_seconds": 50.0},
            {"pending_oldest_seconds": 40.0},
        ),
        ("dead_letters", {"dead_letters": 1}, None, {"dead_letters": 0}),
    ],
)
def test_an_alert_is_raised_at_its_threshold_and_cleared_well_below_it(
    name: str,
    bad: dict[str, object],
    between: dict[str, object] | None,
    good: dict[str, object],
    thresholds: Settings,
) -> None:
    assert changes(stored(**bad), thresholds) == {name: Action.RAISE}
    assert changes(stored(**bad), thresholds, **{name: RAISED}) == {}
    if between:
        assert changes(stored(**between), thresholds) == {}
        assert changes(stored(**between), thresholds, **{name: RAISED}) == {}
    assert changes(stored(**good), thresholds, **{name: RAISED}) == {name: Action.CLEAR}


def test_growth_is_not_judged_while_it_is_unknown(thresholds: Settings) -> None:
    unknown = stored(size_before=None, pending=90)
    assert changes(unknown, thresholds, backlog_growth=RAISED) == {}


@pytest.mark.parametrize(("name", "left"), [("no_worker", "ingest@a"), ("no_ingest", "worker@a")])
def test_a_missing_worker_must_be_missing_for_a_while(name: str, left: str, thresholds: Settings) -> None:
    missing = Backlog(QUIET.stored, replace(QUIET.transport, workers={left: ALIVE[left]}))
    just_now = AlertState(pending_since=NOW - timedelta(seconds=29))
    long_ago = AlertState(pending_since=NOW - timedelta(seconds=30))
    assert changes(missing, thresholds) == {name: Action.MARK_PENDING}
    assert changes(missing, thresholds, **{name: just_now}) == {}
    assert changes(missing, thresholds, **{name: long_ago}) == {name: Action.RAISE}
    assert changes(QUIET, thresholds, **{name: just_now}) == {name: Action.CANCEL_PENDING}
    assert changes(QUIET, thresholds, **{name: RAISED}) == {name: Action.CLEAR}


def test_a_change_says_value_and_threshold(thresholds: Settings) -> None:
    (change,) = judge(conditions(stored(dead_letters=3), thresholds), {}, NOW)
    assert (change.value, change.threshold) == (3, 1)
    assert "3 dead letters" in change.text


SEEN_BY_EACH_PROCESS = {
    AlertName.DATABASE_DOWN,
    AlertName.READ_ONLY,
    AlertName.REDIS_DOWN,
    AlertName.FALLBACK_STORE,
    AlertName.SIGNATURES_REFUSED,
    AlertName.UNKNOWN_HANDLER,
    AlertName.NO_BEAT,
    AlertName.QUARANTINE,
}


def test_every_condition_has_a_name_of_its_own(thresholds: Settings) -> None:
    found: list[Condition] = conditions(QUIET, thresholds)
    assert {condition.name for condition in found} == set(AlertName) - SEEN_BY_EACH_PROCESS
