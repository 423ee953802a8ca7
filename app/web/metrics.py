"""``GET /metrics``: the backlog's numbers and the web's own counters, for Prometheus.

The backlog is the same whichever process answers. The counters are those of the web process that answers,
unless PROMETHEUS_MULTIPROC_DIR names a directory that all web processes share: then they are of all together.
Nothing personal is in a label. A store that does not answer has ``neverdrop_up`` 0, and its numbers are left
out; so are, while Postgres does not answer, the alerts that only its numbers can raise.
"""

import os
import threading
import time
from collections.abc import Iterable

from flask import Blueprint, Response, request
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from app.stores import engine, web_redis
from app.watch import (
    JUDGED_BY_EACH,
    AlertName,
    Backlog,
    PartialBacklog,
    PartialProbe,
    PostgresBacklog,
    RedisBacklog,
    alert_timer,
    backlog,
)
from app.web.operators import may_see
from config.celery import CONVERSATIONS, MAINTENANCE, OUTBOX, TARGETS, WEBHOOKS
from config.settings import settings

CACHED_SECONDS = 5.0  # scrapes more often than this cost the stores nothing
Family = GaugeMetricFamily | CounterMetricFamily
STORE_SECONDS = 2.0  # a store that has not answered by then is down for this scrape

blueprint = Blueprint("metrics", __name__)


class BacklogCollector(Collector):
    """Measures at most every CACHED_SECONDS, and waits for a store at most STORE_SECONDS."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._measured_at = float("-inf")
        self._families: list[Family] = []
        self._probe = PartialProbe()

    def invalidate(self) -> None:
        """Measure anew at the next scrape."""
        with self._lock:
            self._measured_at = float("-inf")

    def collect(self) -> Iterable[Family]:
        with self._lock:
            if time.monotonic() - self._measured_at >= CACHED_SECONDS:
                window = settings().alert_growth_window_seconds
                measured = self._probe.ask(engine(), web_redis(), window, STORE_SECONDS)
                self._families = list(families(measured, alert_timer.raised_here()))
                self._measured_at = time.monotonic()
            return self._families


def families(measured: PartialBacklog, raised_here: frozenset[str]) -> Iterable[Family]:
    """Yield the numbers that are known, as Prometheus's gauges; ``raised_here``: alerts that this process sees."""
    stored, transport, complete = measured.stored, measured.transport, measured.complete
    up = GaugeMetricFamily("neverdrop_up", "Whether a store answers", labels=["store"])
    up.add_metric(["postgres"], float(stored is not None))
    up.add_metric(["redis"], float(transport is not None))
    yield up
    if transport is not None:
        yield from _transport_families(transport)
    if stored is not None:
        yield from _stored_families(stored)
    if complete is not None:
        yield from _backlog_families(complete)
    raised = GaugeMetricFamily("neverdrop_alert_raised", "Whether an alert is raised", labels=["alert"])
    for name in AlertName if stored is not None else sorted(JUDGED_BY_EACH):
        raised.add_metric([name.value], float(name in measured.raised | raised_here))
    yield raised


def _backlog_families(measured: Backlog) -> Iterable[GaugeMetricFamily]:
    yield _gauge("backlog_size", "Unfinished deliveries and events", measured.size)
    yield _gauge("backlog_oldest_seconds", "Age of the oldest unfinished", measured.oldest_seconds)
    if measured.growth is not None:
        yield _gauge("backlog_growth", "More unfinished than a window ago", measured.growth)


def _stored_families(stored: PostgresBacklog) -> Iterable[GaugeMetricFamily]:
    yield _gauge("stored_deliveries", "Deliveries in the fallback store", stored.deliveries)
    yield _gauge("pending_events", "Jobs that wait", stored.pending)
    yield _gauge("dead_letters", "Dead letters that wait for a person", stored.dead_letters)
    yield _gauge("held_lanes", "Lanes whose first event waits for its next attempt", stored.held_lanes)
    yield _gauge("replies_waiting", "Replies that wait to leave", stored.outbox.waiting)
    yield _gauge(
        "replies_unknown", "Replies of which it is not known whether they were sent", stored.outbox.unknown
    )
    yield _gauge("replies_dead", "Replies that wait for a person", stored.outbox.dead)
    yield _gauge("stopped_numbers", "Numbers from which nothing may leave", len(stored.outbox.stopped))
    yield _gauge("forwards_waiting", "Jobs of targets that are not finished", stored.targets.waiting)
    yield _gauge("stopped_targets", "Targets that answered that they are gone", len(stored.targets.stopped))
    yield _gauge("unhandled_messages", "Messages of the last hour without a handler", stored.unhandled)
    yield _gauge("stale_jobs", "Jobs of the last hour older than their handlers allow", stored.stale)


def _transport_families(transport: RedisBacklog) -> Iterable[Family]:
    yield _gauge("journal_deliveries", "Accepted deliveries not in Postgres yet", transport.journal)
    yield _gauge("unacked_messages", "Messages that a worker has taken", transport.unacked)
    yield _gauge(
        "quarantined_messages", "Messages that could not be run and wait for a person", transport.quarantined
    )
    ever = CounterMetricFamily("neverdrop_quarantined", "Messages that could not be run", labels=["queue"])
    for queue, count in transport.quarantined_ever.items():
        ever.add_metric([queue], count)
    yield ever
    lengths = GaugeMetricFamily("neverdrop_queue_messages", "Messages in a queue", labels=["queue"])
    for queue, length in transport.queues.items():
        lengths.add_metric([queue], length)
    yield lengths
    workers = GaugeMetricFamily("neverdrop_workers", "Workers alive that consume a queue", labels=["queue"])
    for queue in (WEBHOOKS, CONVERSATIONS, OUTBOX, MAINTENANCE, TARGETS):
        workers.add_metric([queue], backlog.consumers(transport, queue))
    yield workers
    yield from _target_families(transport)


def _target_families(transport: RedisBacklog) -> Iterable[GaugeMetricFamily]:
    open_ = GaugeMetricFamily(
        "neverdrop_target_breaker_open", "Whether a target's breaker is open", labels=["target"]
    )
    failures = GaugeMetricFamily(
        "neverdrop_target_failures", "Failed attempts of the last five minutes", labels=["target"]
    )
    latency = GaugeMetricFamily(
        "neverdrop_target_p99_seconds", "In which 99 % of a target's answers came", labels=["target"]
    )
    for name, health in transport.targets.items():
        open_.add_metric([name], float(health.breaker != "closed"))
        failures.add_metric([name], health.failures)
        if health.p99_seconds is not None:
            latency.add_metric([name], health.p99_seconds)
    yield from (open_, failures, latency)


def _gauge(name: str, documentation: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"neverdrop_{name}", documentation, value=value)


backlog_registry = CollectorRegistry()
backlog_collector = BacklogCollector()
backlog_registry.register(backlog_collector)


@blueprint.get("/metrics")
def metrics() -> Response:
    """Prometheus's text format, within seconds whatever the stores do; 401 for who may not see it."""
    if not may_see(request, settings()):
        why = "send METRICS_TOKEN as a bearer token"
        return Response(why, 401, {"WWW-Authenticate": "Bearer"}, mimetype="text/plain")
    body = generate_latest(_own_registry()) + generate_latest(backlog_registry)
    return Response(body, content_type=CONTENT_TYPE_LATEST)


def _own_registry() -> CollectorRegistry:
    if not os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        return REGISTRY
    together = CollectorRegistry()
    multiprocess.MultiProcessCollector(together)  # type: ignore[no-untyped-call]
    return together
