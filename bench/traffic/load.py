"""Puts load on a web: senders in processes of their own, started together, their tallies added up."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.traffic.bodies import Traffic
from bench.traffic.sender import Order
from bench.traffic.tally import Tally

ROOT = Path(__file__).parents[2]


class LoadError(Exception):
    """A sender ended without a tally; its reason is on standard error."""


@dataclass(frozen=True, slots=True)
class Load:
    """A load that is ready to begin."""

    senders: "list[subprocess.Popen[str]]"

    def begin(self) -> None:
        for sender in self.senders:
            _send_line(sender, "go\n")

    def result(self) -> Tally:
        """Once it is over."""
        total = Tally()
        for sender in self.senders:
            total = total.plus(Tally.from_json(json.loads(_read_answers(sender))))
        return total

    def run(self) -> Tally:
        self.begin()
        return self.result()


@contextmanager
def prepared(order: Order, processes: int = 1) -> Iterator[Load]:
    """Senders with their bodies signed; they share the order's connections, count and rate."""
    senders = [
        subprocess.Popen(
            [sys.executable, "-m", "bench.traffic.sender"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(processes)
    ]
    try:
        for process, sender in enumerate(senders):
            _send_line(sender, _part(order, process, processes).to_json() + "\n")
        for sender in senders:
            _read_answers(sender)
        yield Load(senders)
    finally:
        for sender in senders:
            sender.kill()
            sender.communicate()


def _part(order: Order, process: int, processes: int) -> Order:
    share = order.count and len(range(process, order.count, processes))
    return replace(
        order,
        connections=max(1, order.connections // processes),
        count=share,
        rate=order.rate and order.rate / processes,
        process=process,
        processes=processes,
    )


def post(port: int, traffic: Traffic, count: int, connections: int = 16) -> Tally:
    """Post so many events, as fast as they are answered."""
    with prepared(Order(port, traffic, connections, count=count)) as load:
        return load.run()


def _send_line(sender: "subprocess.Popen[str]", line: str) -> None:
    if sender.stdin is None:
        raise LoadError("the sender has no input")
    sender.stdin.write(line)
    sender.stdin.flush()


def _read_answers(sender: "subprocess.Popen[str]") -> str:
    line = sender.stdout.readline() if sender.stdout else ""
    if not line:
        raise LoadError(f"a sender ended with status {sender.wait()}")
    return line
