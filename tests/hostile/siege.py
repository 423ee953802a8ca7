"""A real web process under attack, with honest posts beside it; its memory and their latency."""

import http.client
import multiprocessing
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf

import psutil

from tests.helpers.factories import APP_SECRET, signed

MAX_RSS_BYTES = 300 * 1024 * 1024
MAX_P99_SECONDS = 0.5
POST_PAUSE_SECONDS = 0.05
HONEST_TIMEOUT_SECONDS = 10
NEVER = inf
PATIENCE_SECONDS = 120  # for the honest posts that there have to be
ATTACKERS_NICE = 10  # they have machines of their own, and here only what the web and the honest leave


@dataclass
class Report:
    """Seconds that honest posts took, on new and on kept connections, and the web's largest memory.

    One that failed took for ever. Meta sends it again.
    """

    new: list[float] = field(default_factory=list)
    kept: list[float] = field(default_factory=list)
    stored: int = 0
    failures: Counter[str] = field(default_factory=Counter)  # a status, or an error's name → how often
    rss_bytes: int = 0

    @property
    def held(self) -> bool:
        return self.rss_bytes < MAX_RSS_BYTES and max(p99(self.new), p99(self.kept)) < MAX_P99_SECONDS

    def __str__(self) -> str:
        return (
            f"memory {self.rss_bytes / 2**20:.0f} MiB, honest posts: {len(self.new)} on new connections with p99 "
            f"{p99(self.new) * 1000:.0f} ms, {len(self.kept)} on kept ones with p99 {p99(self.kept) * 1000:.0f} ms, "
            f"{self.failures.total()} failed{''.join(f', {kind} {times}' for kind, times in self.failures.items())}"
        )


def p99(seconds: list[float]) -> float:
    """Return the 99th percentile; infinite where there are none."""
    return sorted(seconds)[int(len(seconds) * 0.99)] if seconds else NEVER


def _serve(port_of: "multiprocessing.connection.Connection") -> None:
    from app.web.garbage import collect_seldom
    from app.web.parking import PARK_SECONDS
    from tests.hostile.web import open_web

    collect_seldom()
    with open_web(PARK_SECONDS) as web:
        port_of.send(web.port)
        with suppress(EOFError):
            port_of.recv()


def _attack(port: int, connections: int, seconds: float) -> None:
    import asyncio
    import os

    from tests.hostile.attacks import all_at_once

    os.nice(ATTACKERS_NICE)
    asyncio.run(all_at_once(port, connections, seconds))


def besiege(connections: int, seconds: float, min_stored: int = 0) -> Report:
    """Attack a web process for so long, and until so many honest posts were answered with 200."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    web = context.Process(target=_serve, args=(theirs,))
    web.start()
    port = ours.recv()
    attacker = context.Process(target=_attack, args=(port, connections, seconds + PATIENCE_SECONDS))
    attacker.start()
    report = Report()
    try:
        _post(port, psutil.Process(web.pid), report, seconds, min_stored)
    finally:
        for process in (attacker, web):
            process.kill()
            process.join()
    return report


def _post(port: int, web: psutil.Process, report: Report, seconds_at_least: float, min_stored: int) -> None:
    began_at = time.monotonic()
    kept = _connection(port)
    small, large = (signed(b'{"a":"%b"}' % (b"x" * size), APP_SECRET) for size in (1_000, 300_000))
    number = 0
    while (passed := time.monotonic() - began_at) < seconds_at_least or (
        report.stored < min_stored and passed < seconds_at_least + PATIENCE_SECONDS
    ):
        number += 1
        post = small if number % 10 else large
        new = _connection(port)
        for connection, seconds in ((new, report.new), (kept, report.kept)):
            began, failure = time.monotonic(), ""
            try:
                connection.request("POST", "/webhook", post.body, post.headers)
                response = connection.getresponse()
                response.read()
                report.stored += response.status == 200
                failure = "" if response.status == 200 else str(response.status)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                failure = f"{type(error).__name__} of {len(post.body)} bytes"
            seconds.append(NEVER if failure else time.monotonic() - began)
            if failure:
                report.failures[failure] += 1
        new.close()
        report.rss_bytes = max(report.rss_bytes, web.memory_info().rss)
        time.sleep(POST_PAUSE_SECONDS)
    kept.close()


def _connection(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=HONEST_TIMEOUT_SECONDS)
