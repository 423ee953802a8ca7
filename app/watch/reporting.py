"""Sentry, when SENTRY_DSN is set: failed attempts, dead letters and alerts, without a person in them.

A failed attempt is a breadcrumb, and once a minute for each handler and error a warning; a dead letter is an
error, grouped by handler and error. Nothing is sent of a request's body, a task's arguments or local
variables, and every text goes through the same masking as the log lines. Without a DSN it does nothing.
"""

import sys
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from config.logging import describe, mask_error, mask_field, mask_text
from config.masking import OPEN_FIELDS
from config.settings import Settings

WARNING_EVERY_SECONDS = 60.0
FLUSH_SECONDS = 2
MAX_WARNED = 1000  # pairs of handler and error that are remembered

OFF: Any = {"mode": "off"}
# What Sentry's integrations would gather by themselves; ``send_default_pii`` is its older, coarser name.
NOTHING_OF_A_PERSON: Any = {
    "user_info": False,
    "cookies": OFF,
    "http_headers": {"request": OFF},
    "http_bodies": [],
    "url_query_params": OFF,
    "database_query_data": False,
    "queues": False,
    "stack_frame_variables": False,
}

_warned: dict[tuple[str, str], float] = {}


def start(settings: Settings, process: str = "web") -> None:
    """Start reporting, if SENTRY_DSN is set. ``process`` (web, worker ...) becomes a tag."""
    if not settings.sentry_dsn:
        return
    # Imported only here: they bring Flask into every process, and Sentry's own is a tenth of a process's start
    import sentry_sdk
    from sentry_sdk.integrations.celery import CeleryIntegration
    from sentry_sdk.integrations.flask import FlaskIntegration
    from sentry_sdk.integrations.logging import LoggingIntegration

    sentry_sdk.init(
        dsn=settings.sentry_dsn,
        environment=settings.neverdrop_env,
        release=f"neverdrop@{release()}",
        data_collection=NOTHING_OF_A_PERSON,
        max_request_body_size="never",
        traces_sample_rate=None,
        # Only what these integrations see by themselves is reported besides what is reported below.
        integrations=[
            FlaskIntegration(),
            CeleryIntegration(propagate_traces=False),
            LoggingIntegration(event_level=None),  # our own errors are log lines: not a second report
        ],
        before_send=_mask_event if not settings.log_personal_data else None,
        before_breadcrumb=_mask_breadcrumb if not settings.log_personal_data else None,
    )
    sentry_sdk.set_tag("process", process)


def _sentry() -> Any:
    """Return Sentry's module if reporting was started, by us or by the team's code; else None."""
    sentry = sys.modules.get("sentry_sdk")
    return sentry if sentry is not None and sentry.is_initialized() else None


def release() -> str:
    """The installed version of Neverdrop."""
    try:
        return version("neverdrop")
    except PackageNotFoundError:  # run from its source, not installed
        return "development"


def failed_attempt(*, error: BaseException, handler: str | None, **fields: Any) -> None:
    """An attempt that failed and will be followed by another."""
    if not (sentry := _sentry()):
        return
    known = {"handler": handler, **fields}
    sentry.add_breadcrumb(
        category="attempt", level="warning", message=describe(error), data=_masked_fields(known)
    )
    if _may_warn(handler or "", type(error).__name__):
        _capture(sentry, "warning", "failed-attempt", error, known)


def dead_letter(*, error: BaseException | str, handler: str | None, **fields: Any) -> None:
    """An event that failed for good; ``error`` as "Class: text" where the exception is gone."""
    if sentry := _sentry():
        _capture(sentry, "error", "dead-letter", error, {"handler": handler, **fields})


def unreadable_delivery(*, event_id: int) -> None:
    """A body that could not be read: a dead letter of no handler."""
    dead_letter(
        error="Unreadable: a body could not be read", handler=None, type="unreadable", event_id=event_id
    )


def alert(name: str, text: str, *, raised: bool) -> None:
    """An alert that was raised (an error) or cleared (for the record)."""
    if not (sentry := _sentry()):
        return
    with sentry.new_scope() as scope:
        scope.fingerprint = ["alert", name]
        scope.set_tag("alert", name)
        state = "raised" if raised else "cleared"
        sentry.capture_message(f"alert {state}: {name}: {text}", level="error" if raised else "info")


def flush() -> None:
    """Send what waits to be sent, at most FLUSH_SECONDS long; for processes that end."""
    if sentry := _sentry():
        sentry.flush(timeout=FLUSH_SECONDS)


def _capture(
    sentry: Any, level: Any, what: str, error: BaseException | str, fields: Mapping[str, Any]
) -> None:
    kind = type(error).__name__ if isinstance(error, BaseException) else error.partition(":")[0]
    handler = str(fields.get("handler") or "")
    with sentry.new_scope() as scope:
        scope.fingerprint = [what, handler, kind]
        scope.set_level(level)
        scope.set_tag("handler", handler)
        scope.set_tag("event_type", str(fields.get("type", "")))
        scope.set_context("attempt", _masked_fields(fields))
        if isinstance(error, BaseException):
            sentry.capture_exception(error)
        else:
            sentry.capture_message(f"{what}: {mask_error(error)}", level=level)


def _may_warn(handler: str, kind: str) -> bool:
    """A service that is down fails every attempt: one warning says that as well as a thousand."""
    now = time.monotonic()
    if now - _warned.get((handler, kind), float("-inf")) < WARNING_EVERY_SECONDS:
        return False
    if len(_warned) >= MAX_WARNED:
        _warned.clear()
    _warned[handler, kind] = now
    return True


def _masked_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value if name in OPEN_FIELDS else mask_field(name, value)
        for name, value in fields.items()
        if value is not None
    }


def _mask_event(event: Any, _hint: Mapping[str, Any]) -> Any:
    """What Sentry's integrations gathered by themselves, without persons in it."""
    if request := event.get("request"):
        event["request"] = {name: request[name] for name in ("method", "url") if name in request}
    event.get("extra", {}).pop("celery-job", None)
    event.get("extra", {}).pop("sys.argv", None)
    for value in event.get("exception", {}).get("values", []):
        value["value"] = mask_error(value.get("value") or "", value.get("type") or "")
    entry = event.get("logentry") or {}
    for name in ("message", "formatted"):
        if name in entry:
            entry[name] = mask_error(entry[name])
    entry.pop("params", None)
    if "message" in event:
        event["message"] = mask_text(event["message"])
    return event


def _mask_breadcrumb(crumb: Any, _hint: Mapping[str, Any]) -> Any:
    if crumb.get("message"):
        crumb["message"] = mask_error(crumb["message"])
    if crumb.get("category") != "attempt" and crumb.get("data"):
        crumb["data"] = {name: mask_field(name, value) for name, value in crumb["data"].items()}
    return crumb
