"""``GET /metrics``: the backlog's numbers and the web's own counters, for Prometheus.

The backlog is the same whichever process answers. The counters are those of the web process that answers,
unless PROMETHEUS_MULTIPROC_DIR names a directory that all web processes share: then they are of all together.
Nothing personal is in a label. A store that does not answer has ``neverdrop_up`` 0, and its numbers are left
out.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from flask import Blueprint, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from redis import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.stores import engine, web_redis
from app.watch import AlertName, Backlog, PostgresBacklog, Probe, RedisBacklog, backlog
from config.celery import CONVERSATIONS, MAINTENANCE, WEBHOOKS
from config.settings import settings

CACHED_SECONDS = 5.0  # scrapes more often than this cost the stores nothing
STORE_SECONDS = 2.0  # a store that has not answered by then is down for this scrape
T = TypeVar("T")

blueprint = Blueprint("metrics", __name__)


class BacklogCollector(Collector):
    """Measures at most every CACHED_SECONDS, and waits for a store at most STORE_SECONDS."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._measured_at = float("-inf")
        self._families: list[GaugeMetricFamily] = []
        self._postgres: Probe[PostgresBacklog] = Probe()
        self._redis: Probe[RedisBacklog] = Probe()

    def invalidate(self) -> None:
        """Measure anew at the next scrape."""
        with self._lock:
            self._measured_at = float("-inf")

    def collect(self) -> Iterable[GaugeMetricFamily]:
        with self._lock:
            if time.monotonic() - self._measured_at >= CACHED_SECONDS:
                window = settings().alert_growth_window_seconds
                transport = _known(self._redis, lambda: backlog.transport(web_redis()))
                stored = _known(self._postgres, lambda: backlog.stored(engine(), window))
                self._families = list(families(stored, transport))
                self._measured_at = time.monotonic()
            return self._families


def _known(probe: Probe[T], question: Callable[[], T]) -> T | None:
    try:
        return probe.ask(question, STORE_SECONDS)
    except (SQLAlchemyError, RedisError, TimeoutError):
        return None  # neverdrop_up says so


def families(stored: PostgresBacklog | None, transport: RedisBacklog | None) -> Iterable[GaugeMetricFamily]:
    """The numbers that are known, as Prometheus's gauges; None for a store that does not answer."""
    up = GaugeMetricFamily("neverdrop_up", "Whether a store answers", labels=["store"])
    up.add_metric(["postgres"], float(stored is not None))
    up.add_metric(["redis"], float(transport is not None))
    yield up
    if transport is not None:
        yield from _transport_families(transport)
    if stored is not None:
        yield from _stored_families(stored)
    if stored is not None and transport is not None:
        yield from _backlog_families(Backlog(stored, transport))


def _backlog_families(measured: Backlog) -> Iterable[GaugeMetricFamily]:
    yield _gauge("backlog_size", "Unfinished deliveries and events", measured.size)
    yield _gauge("backlog_oldest_seconds", "Age of the oldest unfinished", measured.oldest_seconds)
    if measured.growth is not None:
        yield _gauge("backlog_growth", "More unfinished than a window ago", measured.growth)


def _stored_families(stored: PostgresBacklog) -> Iterable[GaugeMetricFamily]:
    yield _gauge("stored_deliveries", "Deliveries in the fallback store", stored.deliveries)
    yield _gauge("pending_events", "Events that wait", stored.pending)
    yield _gauge("dead_letters", "Dead letters that wait for a person", stored.dead_letters)
    yield _gauge("held_lanes", "Lanes whose first event waits for its next attempt", stored.held_lanes)
    raised = GaugeMetricFamily("neverdrop_alert_raised", "Whether an alert is raised", labels=["alert"])
    for name in AlertName:
        raised.add_metric([name.value], float(name in stored.raised))
    yield raised


def _transport_families(transport: RedisBacklog) -> Iterable[GaugeMetricFamily]:
    yield _gauge("journal_deliveries", "Accepted deliveries not in Postgres yet", transport.journal)
    yield _gauge("unacked_messages", "Messages that a worker has taken", transport.unacked)
    lengths = GaugeMetricFamily("neverdrop_queue_messages", "Messages in a queue", labels=["queue"])
    for queue, length in transport.queues.items():
        lengths.add_metric([queue], length)
    yield lengths
    workers = GaugeMetricFamily("neverdrop_workers", "Workers alive that consume a queue", labels=["queue"])
    for queue in (WEBHOOKS, CONVERSATIONS, MAINTENANCE):
        workers.add_metric([queue], backlog.consumers(transport, queue))
    yield workers


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"neverdrop_{name}", documentation, value=value)


backlog_registry = CollectorRegistry()
backlog_collector = BacklogCollector()
backlog_registry.register(backlog_collector)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Prometheus's text format, within seconds whatever the stores do."""
    body = generate_latest(_own_registry()) + generate_latest(backlog_registry)
    return Response(body, content_type=CONTENT_TYPE_LATEST)


def _own_registry() -> CollectorRegistry:
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    together = CollectorRegistry()
    multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return together
