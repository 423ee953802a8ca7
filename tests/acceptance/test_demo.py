"""The demo, small: real processes, a killed worker, and a verdict from the tables."""

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from app.dev.demo import report as demo_report
from app.dev.demo.promises import PROMISES
from app.dev.demo.run import Scenario, run
from app.dev.judge import comes_back, judge
from app.dev.simulator.traffic import Fate, Options

SMALL = Options(messages=100, statuses=300, conversations=10, failing=8, doomed=2, slow=4, forged=3)


@pytest.mark.timeout(240)  # a lease has to run out, whatever else the machine does
def test_every_promise_is_kept_while_a_worker_is_killed(tmp_path: Path) -> None:
    environment = dict(os.environ)
    shown = io.StringIO()
    log = tmp_path / "demo.log"

    facts = run(Scenario(SMALL, rate=50), log, Console(file=shown))

    verdicts = judge(facts, PROMISES)
    assert {verdict.promise: verdict.sentences for verdict in verdicts if not verdict.kept} == {}
    assert len(facts.events) == 400
    assert sum(job.state == "dead" for job in facts.jobs) == 2
    assert sum(planned.fate is Fate.UNHANDLED for planned in facts.expected) == 5
    assert facts.duplicates > 0
    assert facts.sent.forged == 3
    assert facts.faults
    assert comes_back.interruptions(facts), "the worker was killed in the middle of a handler"
    assert dict(os.environ) == environment

    demo_report.show(Console(file=shown, width=120), facts, verdicts, seconds=1)
    assert "ALL PROMISES KEPT" in shown.getvalue()
