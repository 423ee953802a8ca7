"""How Celery is configured: where each task goes, and limits that fit into each other."""

import ast
import re
from pathlib import Path
from typing import Any

import pytest

from app.dev.stack import programs as pipeline
from config import celery as names
from config.celery import celery_config
from config.settings import load

TASKS = Path(__file__).parents[3] / "tasks"
# Short and long handlers, as a team may have them
LIMITS = [(60, 10), (1, 1), (5, 10), (3600, 10), (0.1, 0.1), (60, 600)]


def config(handler_seconds: float = 60, budget_seconds: float = 10) -> dict[str, Any]:
    return celery_config(
        load(
            neverdrop_env="development",
            handler_time_limit_seconds=handler_seconds,
            advance_budget_seconds=budget_seconds,
        )
    )


def registered() -> set[str]:
    """The names of the tasks, read from the source: importing it would need an environment."""
    found = set()
    for path in TASKS.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.keyword) and node.arg == "name":
                constant = re.search(r"[A-Z_]+$", ast.unparse(node.value))
                assert constant, path
                found.add(getattr(names, constant[0]))
    return found


def test_every_task_has_a_queue_and_every_route_a_task() -> None:
    assert registered() == set(names.ROUTES)
    assert set(names.ROUTES.values()) <= set(names.QUEUES)


def test_every_scheduled_task_exists() -> None:
    assert set(names.SCHEDULE) <= set(names.ROUTES)


def test_nobody_consumes_the_dead_letters() -> None:
    consumed = set()
    for program in (pipeline.ingest(1), pipeline.worker(1, 2), pipeline.sender(1)):
        consumed |= set(program.argv[program.argv.index("-Q") + 1].split(","))
    assert consumed == set(names.QUEUES) - {names.DEAD_LETTERS}


def test_slow_handlers_delay_neither_storing_nor_recovery() -> None:
    queues = {
        name: set(program.argv[program.argv.index("-Q") + 1].split(","))
        for name, program in (("ingest", pipeline.ingest(1)), ("worker", pipeline.worker(1, 2)))
    }
    assert queues["ingest"] == {names.WEBHOOKS, names.MAINTENANCE}
    assert queues["ingest"].isdisjoint(queues["worker"])


@pytest.mark.parametrize("limits", LIMITS)
def test_a_message_is_given_out_again_only_after_its_task_must_have_ended(
    limits: tuple[float, float],
) -> None:
    celery = config(*limits)
    visible_again = celery["broker_transport_options"]["visibility_timeout"]
    assert celery["task_time_limit"] < visible_again
    assert visible_again > names.MAINTENANCE_TIME_LIMIT_SECONDS


def constant_of(task: str, name: str) -> int:
    """A constant on top of a file of tasks, read without importing Celery's application."""
    (value,) = (
        node.value.value
        for node in ast.parse((TASKS / f"{task}.py").read_text()).body
        if isinstance(node, ast.Assign)
        and ast.unparse(node.targets[0]) == name
        and isinstance(node.value, ast.Constant)
    )
    assert isinstance(value, int)
    return value


@pytest.mark.parametrize("limits", LIMITS)
def test_ingest_gives_up_waiting_before_it_is_killed(limits: tuple[float, float]) -> None:
    patience = constant_of("ingest", "PATIENCE_SECONDS")
    assert patience < config(*limits)["task_time_limit"]


def test_no_run_of_beat_expires_by_the_clock_of_another_machine() -> None:
    for entry in config()["beat_schedule"].values():
        assert "options" not in entry  # "expires" would compare the clocks of two machines


def test_tls_is_told_to_the_broker_once() -> None:
    settings = load(neverdrop_env="development", redis_url="rediss://h/0?ssl_cert_reqs=none")
    celery = celery_config(settings)
    assert celery["broker_url"] == "rediss://h/0"
    assert celery["broker_use_ssl"] == settings.redis.ssl
    assert "broker_use_ssl" not in config()


def test_messages_that_wait_are_no_tasks_of_the_future() -> None:
    """A task with an ETA waits in a worker's memory, and one that is not acknowledged late is lost with it."""
    celery = config()
    assert (celery["task_acks_late"], celery["task_reject_on_worker_lost"]) == (True, False)
    assert celery["accept_content"] == ["json"]


def test_nothing_is_purged_on_schedule_unless_a_retention_is_set() -> None:
    assert names.PURGE not in config()["beat_schedule"]
    kept = celery_config(load(neverdrop_env="development", retention_days=30))
    assert set(kept["beat_schedule"]) == set(names.SCHEDULE)


def test_a_purge_takes_a_small_part_of_the_time_between_two_and_of_its_limit() -> None:
    budget = constant_of("maintenance", "PURGE_BUDGET_SECONDS")
    assert budget <= names.SCHEDULE[names.PURGE] / 5
    assert budget <= names.MAINTENANCE_TIME_LIMIT_SECONDS / 5
