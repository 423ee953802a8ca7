"""The command lines that everything which starts a process takes from one place."""

import sys

from app.dev.stack import programs as pipeline


def queues(argv: tuple[str, ...]) -> set[str]:
    return set(argv[argv.index("-Q") + 1].split(","))


def test_slow_handlers_can_delay_neither_storing_nor_recovery() -> None:
    assert queues(pipeline.ingest().argv) == {"webhooks", "maintenance"}
    assert queues(pipeline.worker().argv) == {"conversations"}


def test_nobody_consumes_the_dead_letters() -> None:
    assert "dead_letters" not in queues(pipeline.ingest().argv) | queues(pipeline.worker().argv)


def test_several_consumers_of_one_machine_have_names_of_their_own() -> None:
    programs = [*map(pipeline.ingest, (1, 2)), *map(pipeline.worker, (1, 2))]
    assert len({program.name for program in programs}) == 4
    assert len({program.argv[program.argv.index("-n") + 1] for program in programs}) == 4


def test_only_workers_send_task_events() -> None:
    assert "-E" in pipeline.worker().argv
    assert "-E" not in pipeline.ingest().argv
    assert "--enable_events=False" in pipeline.flower(5555, "user:password").argv


def test_consumers_stop_within_what_a_platform_grants() -> None:
    for program in (pipeline.ingest(), pipeline.worker()):
        assert program.env["REMAP_SIGTERM"] == "SIGQUIT"
        assert program.grace_seconds < 30


def test_a_password_is_in_no_command_line() -> None:
    program = pipeline.flower(5555, "user:password")
    assert not any("password" in part for part in program.argv)
    assert program.env["FLOWER_BASIC_AUTH"] == "user:password"


def test_every_process_runs_under_this_interpreter() -> None:
    programs = [
        pipeline.web(8000, 32),
        pipeline.ingest(),
        pipeline.worker(),
        pipeline.beat(),
        pipeline.flower(5555, ""),
    ]
    assert {program.argv[0] for program in programs} == {sys.executable}
