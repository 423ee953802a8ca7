"""The process ``forwarder``: ``python -m app.targets``.

No Celery worker: a pool of processes holds one task each, so that a few slow targets would hold them all; here
hundreds of requests wait on one event loop. It stops by SIGTERM: what is under way gets DRAIN_SECONDS to be answered.
"""

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import httpcore
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from app.broker import receive_forwarders_wake, wake_senders
from app.dead_letters import enqueue_dead_letter
from app.errors import NeverdropError
from app.handlers import Registry
from app.stores import STORE_ERRORS, check_database, engine, lane_engine, redis, redis_checks
from app.targets import lost
from app.targets.addresses import port_of
from app.targets.client import AddressRules, TargetClient, resolve
from app.targets.forwarder import Forwarder
from app.targets.gate import TargetGate
from app.targets.load import Loaded, TargetsError, load_targets
from app.targets.rules import rules_of
from app.targets.statements import TargetStatements
from app.watch import TargetHealth, alert_timer, heartbeats, reporting, target_health, unknown_handlers
from config.celery import TARGETS
from config.logging import configure, describe, get_logger
from config.settings import Settings, SettingsError, settings

DRAIN_SECONDS = 20.0  # as other processes; a platform waits for 30
SIGN_OF_LIFE_SECONDS = 1.0
HEARTBEAT_SECONDS = heartbeats.BEAT_SECONDS
PUBLISH_SECONDS = 1.0
UNKNOWN_SECONDS = 10.0
LISTEN_SECONDS = 1.0
AWAY_SECONDS = 1.0
STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)

log = get_logger(__name__)


def main() -> None:
    """Run until a signal; SystemExit says what is wrong with the settings or the targets."""
    try:
        known = settings()
        configure(known, "forwarder")
        loaded = load(known)
        check_stores()
        _run(serve(loaded, known))
    except SettingsError as error:
        raise SystemExit(f"neverdrop cannot start:\n{error}") from error
    except NeverdropError as error:
        raise SystemExit(f"neverdrop cannot start: {error}") from error


def load(known: Settings) -> Loaded:
    """Read the targets; NeverdropError lists all that is wrong with them, their addresses too."""
    faults = []
    try:
        loaded = load_targets(known, Registry())
    except TargetsError as error:
        loaded = error.sound
        faults.append(str(error))
    faults += asyncio.run(refused_addresses(loaded, rules_of(known)))
    if faults:
        raise NeverdropError("\n".join(faults))
    return loaded


def check_stores() -> None:
    """NeverdropError where the stores must not be used; one that is away is waited for."""
    try:
        redis_checks.check_durability(redis(), production=settings().neverdrop_env == "production")
        with engine().connect() as connection:
            check_database(redis(), connection)
    except RedisError as error:
        log.warning("redis.unavailable", error=describe(error))
    except SQLAlchemyError as error:
        log.warning("database.unavailable", error=describe(error))


def make_forwarder(loaded: Loaded, known: Settings, worker: str) -> Forwarder:
    """Return a forwarder on the process's stores."""
    rules = rules_of(known)
    return Forwarder(
        loaded,
        TargetStatements(
            lane_engine(), redis(), worker, known.order_settle_seconds, lambda: wake_senders(redis())
        ),
        {name: TargetClient(target, rules) for name, target in loaded.targets.items()},
        lambda job_id: enqueue_dead_letter(redis(), job_id),
    )


async def serve(loaded: Loaded, known: Settings) -> None:
    """Forward until a signal, and keep others informed meanwhile."""
    stop = asyncio.Event()
    for number in STOPS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    reporting.start(known, "forwarder")
    timer = alert_timer.for_process(kind="forwarder")
    timer.start()
    name = lost.name_of_process()
    forwarder = make_forwarder(loaded, known, name)
    member = heartbeats.member(name, [TARGETS])
    await asyncio.to_thread(_begin, forwarder)
    chores = [
        asyncio.create_task(_every(seconds, chore))
        for seconds, chore in (
            (0, lambda: _listen(forwarder)),
            (SIGN_OF_LIFE_SECONDS, lambda: asyncio.to_thread(lost.beat, redis(), name)),
            (HEARTBEAT_SECONDS, lambda: asyncio.to_thread(heartbeats.beat, redis(), member)),
            (PUBLISH_SECONDS, lambda: _publish(forwarder)),
            (UNKNOWN_SECONDS, lambda: _look_for_unknown(forwarder)),
        )
    ]
    log.info("forwarder.started", targets=sorted(loaded.targets), pid=os.getpid())
    try:
        await forwarder.run(stop, DRAIN_SECONDS)
    finally:
        for chore in chores:
            chore.cancel()
        timer.stop()
        await asyncio.to_thread(_leave, forwarder, member)
    log.info("forwarder.stopped", pid=os.getpid())


async def refused_addresses(loaded: Loaded, rules: AddressRules) -> list[str]:
    """Return a fault for each target that leads to where nothing may be sent; a name that leads nowhere is logged."""
    faults = []
    for name, target in loaded.targets.items():
        parts = urlsplit(target.url)
        try:
            async with asyncio.timeout(target.connect_timeout_seconds):
                await resolve(str(parts.hostname), port_of(parts), rules)
        except (httpcore.ConnectError, TimeoutError) as error:
            if str(error).startswith("refused"):
                faults.append(f"{loaded.places.get(name, name)}: url is {error}")
            else:
                log.warning("target.name_leads_nowhere", target=name, error=str(error) or "no answer of DNS")
    return faults


async def _every(seconds: float, chore: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Do a chore again and again; what a store cannot take now is done the next time."""
    while True:
        try:
            await chore()
        except STORE_ERRORS as error:
            log.info("forwarder.chore_failed", error=type(error).__name__)
            await asyncio.sleep(AWAY_SECONDS)
        await asyncio.sleep(seconds)


async def _listen(forwarder: Forwarder) -> None:
    if await asyncio.to_thread(receive_forwarders_wake, redis(), LISTEN_SECONDS):
        forwarder.look_again()


async def _publish(forwarder: Forwarder) -> None:
    """Say how targets go, and learn which of them are paused."""
    names = list(forwarder.targets)
    forwarder.paused = await forwarder.with_stores(lambda: forwarder.statements.paused(names))
    now = time.monotonic()
    known = {
        name: _health(gate, forwarder.last_errors.get(name), now) for name, gate in forwarder.gates.items()
    }
    await asyncio.to_thread(target_health.publish, redis(), forwarder.statements.worker, known)


def _health(gate: TargetGate, last_error: str | None, now: float) -> TargetHealth:
    attempts, failures = gate.counts(now)
    return TargetHealth(
        gate.breaker(now), attempts, failures, gate.in_flight, gate.latency(0.5), gate.latency(0.99),
        max(0.0, gate.throttled_until - now), last_error, 1,
    )  # fmt: skip


async def _look_for_unknown(forwarder: Forwarder) -> None:
    """Say which targets have work and are known to no forwarder; ``unknown_handler`` is raised for them."""
    targets = list(forwarder.targets.values())
    unknown = await forwarder.with_stores(lambda: forwarder.statements.unknown(targets))
    if unknown:
        await asyncio.to_thread(unknown_handlers.record, redis(), unknown)


def _begin(forwarder: Forwarder) -> None:
    """Beat, and release what an earlier process of the same name has left."""
    try:
        lost.beat(redis(), forwarder.statements.worker)
        lost.release(forwarder.statements.engine, redis(), forwarder.statements.worker)
    except STORE_ERRORS as error:  # the lease ends it
        log.warning("forwarder.chore_failed", error=type(error).__name__)


def _leave(forwarder: Forwarder, member: str) -> None:
    """Let others do what was not answered in time."""
    name = forwarder.statements.worker
    try:
        heartbeats.leave(redis(), member)
        target_health.withdraw(redis(), name, forwarder.targets)
        lost.release(forwarder.statements.engine, redis(), name)
        lost.leave(redis(), name)
    except STORE_ERRORS:  # then its silence ends it
        pass


def _run(main_task: Coroutine[Any, Any, None]) -> None:
    try:
        import uvloop
    except ImportError:  # not on every platform
        asyncio.run(main_task)
    else:
        uvloop.run(main_task)
