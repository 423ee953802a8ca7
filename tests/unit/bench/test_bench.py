"""What the bench computes: bodies that are all different, percentiles, ratios of rounds, and its place in the docs."""

import hmac
import json
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import click
import pytest

from app.payload.parse import parse
from bench.measure import Ratio, Row, measure
from bench.report import limits
from bench.report import results as report
from bench.traffic.bodies import MIX, SECRET, Numbers, Traffic, body, requests
from bench.traffic.tally import Histogram, Tally


@pytest.mark.parametrize("kind", ["messages", "mix"])
def test_every_body_is_one_event_of_its_own(kind: Any) -> None:
    parsed = [parse(body(Traffic(kind), number)) for number in range(400)]
    assert [len(found.events) for found in parsed] == [1] * 400
    assert len({found.events[0].key for found in parsed}) == 400


def test_the_mix_is_three_statuses_to_a_message() -> None:
    kinds = [parse(body(Traffic("mix"), number)).events[0].kind for number in range(4 * MIX)]
    assert kinds == ["message", "status", "status", "status"] * 4


def test_traffic_of_one_conversation_is_one_lane() -> None:
    names = {parse(body(Traffic(conversations=1), number)).events[0].conversation for number in range(50)}
    assert len(names) == 1


def test_a_request_carries_the_signature_of_its_body() -> None:
    head, _, content = next(requests(Traffic())).partition(b"\r\n\r\n")
    assert b"sha256=" + hmac.digest(SECRET.encode(), content, "sha256").hex().encode() in head
    assert b"Content-Length: %d" % len(content) in head


def test_senders_share_the_numbers_without_overlap() -> None:
    both = [list(islice(requests(Traffic(), process, 2), 10)) for process in (0, 1)]
    assert sorted(both[0] + both[1]) == sorted(islice(requests(Traffic()), 20))


def test_no_event_is_taken_twice() -> None:
    numbers = Numbers()
    first, second = numbers.take(Traffic(), 10), numbers.take(Traffic("mix"), 10)
    assert second.first >= first.first + 10
    assert second.first % MIX == 0


def test_a_percentile_is_exact_to_one_per_cent() -> None:
    histogram = Histogram.of(number / 1000 for number in range(1, 1001))
    assert histogram.percentile(50) == pytest.approx(0.5, rel=0.011)
    assert histogram.percentile(99) == pytest.approx(0.99, rel=0.011)
    assert math.isnan(Histogram().percentile(50))


def test_tallies_of_two_senders_add_up_and_survive_the_pipe() -> None:
    one = Tally(10, 1, 0, 2.0, 0.1, Histogram.of([0.1] * 10))
    two = Tally(5, 0, 1, 3.0, 0.2, Histogram.of([0.2] * 5))
    both = Tally.from_json(json.loads(json.dumps(one.plus(two).to_json())))
    assert (both.accepted, both.refused, both.broken, both.seconds) == (15, 1, 1, 3.0)
    assert sum(both.latencies.buckets.values()) == 15
    assert both.rate == 5


def rounds(*values: float) -> Any:
    found: Iterator[float] = iter(values)
    return lambda: {"events/s": next(found)}


def test_a_ratio_is_the_median_of_the_ratios_of_each_round() -> None:
    goal = Ratio("events/s", "fast", "slow", at_least=2)
    row = Row("pace", "pace", {"fast": rounds(20, 90, 30), "slow": rounds(10, 10, 10)}, (goal,))
    (ratio,) = measure(row, 3).ratios
    assert (ratio["value"], ratio["rounds"], ratio["met"]) == (3, [2, 9, 3], True)


def test_the_first_case_changes_from_round_to_round() -> None:
    order: list[str] = []
    cases = {name: lambda name=name: order.append(name) or {"x": 1.0} for name in "ab"}  # type: ignore[misc]
    measure(Row("order", "order", cases), 2)
    assert order == ["a", "b", "b", "a"]


def test_a_case_that_fails_once_costs_its_round_alone() -> None:
    row = Row("pace", "pace", {"a": rounds(1), "b": rounds(1, 2)}, (Ratio("events/s", "b", "a"),))
    measured = measure(row, 2)
    assert "StopIteration" in measured.failed["a"]
    assert measured.median("a", "events/s") == 1
    assert measured.ratios[0]["rounds"] == [1]


def test_figures_take_the_place_of_what_stands_between_the_marks(tmp_path: Path) -> None:
    measured = measure(Row("pace", "pace", {"a": rounds(1.5)}), 1)
    report.save(tmp_path / "result.json", {"CPU": "some"}, {"rounds": 1}, [measured])
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    document = tmp_path / "page.md"
    document.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", encoding="utf-8")

    for _ in range(2):
        report.put(document, report.BEGIN, report.END, report.markdown(result, []))
        text = document.read_text(encoding="utf-8")
        assert text.startswith("before\n")
        assert text.endswith("\nafter\n")
        assert "old" not in text
        assert "| a | 1.5 |" in text

    document.write_text("no marks", encoding="utf-8")
    with pytest.raises(click.ClickException):
        report.put(document, report.BEGIN, report.END, report.markdown(result, []))


def test_what_a_rate_takes_follows_from_what_an_event_costs() -> None:
    costs = {f"{name} CPU µs": 100.0 for names in limits.PARTS.values() for name in names}
    costs |= {
        "Postgres bytes": 2**30 / 86_400,
        "Postgres WAL bytes": 2**20,
        "Redis bytes while it waits": 2**20 / 60,
    }
    header, lines = limits.limits(costs)
    cells = {line[0]: dict(zip(header, line, strict=True)) for line in lines}
    assert cells["web, cores"]["1,000/s"] == "0.1"
    assert cells["worker, cores"]["1,000/s"] == "0.2"
    assert cells["Valkey, cores"][limits.ONE_CORE] == "10,000"
    assert cells["tables, GiB a day"]["100/s"] == "100"
    assert cells["write-ahead log, MiB/s"]["4,000/s"] == "4,000"
