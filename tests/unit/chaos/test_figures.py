"""The published tables say what the reports of the runs say."""

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tests.chaos.figures import CHECKS, main
from tests.chaos.promises import PROMISES


def report(path: Path, seed: int, *, out_of_order: int, returns: list[tuple[str, float | None]]) -> str:
    figures: dict[str, Any] = {
        "seed": seed,
        "seconds": 900.0,
        "rate": 25.0,
        "events": 22_501,
        "schedule": ["1 kill_web web1 0"] * len(returns),
        "promises": [
            {"promise": promise, "checked": 1_000, "violations": out_of_order if promise[0] == "4" else 0}
            for promise in PROMISES
        ],
        "interrupted": {"kill_worker": {"again_worst_less_outages": 17.52}},
        "returns": returns,
    }
    file = path / f"{seed}.json"
    file.write_text(json.dumps(figures), encoding="utf-8")
    return str(file)


def test_each_run_and_each_kind_of_fault_is_a_line(tmp_path: Path) -> None:
    reports = [
        report(tmp_path, 31, out_of_order=0, returns=[("kill_web", 0.5), ("kill_valkey", 3.0)]),
        report(tmp_path, 32, out_of_order=2, returns=[("kill_web", 1.5), ("failover", None)]),
    ]
    result = CliRunner().invoke(main, reports)
    assert result.exit_code == 0, result.output
    assert (
        "| `--seed 31 --seconds 900 --rate 25` | 22,501, 2 | 1,000 | 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 | 17.5 s |"
        in result.output
    )
    assert "0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0" in result.output
    assert "| `kill_web` | 2 | 1.0 s | 1.5 s |" in result.output
    assert "| `failover` | 1 | never | never |" in result.output


def test_every_promise_has_a_column() -> None:
    assert [promise.split()[0] for promise in PROMISES] == list(CHECKS)
