"""Send each change of an alert once: to the log, to Sentry, and to ALERT_WEBHOOK_URL.

A conditional UPDATE ensures that only one watcher posts; what the webhook does not take stays for the next watch.
"""

from datetime import datetime
from socket import gethostname
from typing import Any

import httpx
from sqlalchemy import Engine, text

from app.watch import reporting
from app.watch.conditions import Action, AlertChange, AlertName
from config.logging import get_logger
from config.settings import Settings

WEBHOOK_TIMEOUT_SECONDS = 5.0
NOTIFYING_SECONDS = 60.0  # a watch that died while it posted blocks the others for as long

log = get_logger(__name__)

CLAIM_UNSENT = text("""
UPDATE alerts SET notify_after = clock_timestamp() + make_interval(secs => :seconds)
WHERE name = (
  SELECT name FROM alerts
  WHERE notified_at IS NULL AND raised_at IS NOT NULL
    AND (notify_after IS NULL OR notify_after < clock_timestamp())
  ORDER BY greatest(raised_at, cleared_at) LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING name, raised, text, value, threshold, greatest(raised_at, cleared_at) AS changed_at
""")
# Not if it changed meanwhile: then there is something new to send
MARK_SENT = text("""
UPDATE alerts SET notified_at = CASE WHEN :sent THEN clock_timestamp() END, notify_after = NULL
WHERE name = :name AND greatest(raised_at, cleared_at) = :changed_at
""")
MARK_ALL_SENT = text("""
UPDATE alerts SET notified_at = clock_timestamp() WHERE notified_at IS NULL AND raised_at IS NOT NULL
""")


def log_change(change: AlertChange) -> None:
    """To the log and to Sentry."""
    fields = {"alert": change.name.value, "value": change.value, "threshold": change.threshold}
    if change.action is Action.RAISE:
        log.error("alert.raised", **fields, reason=change.text)
    else:
        log.info("alert.cleared", **fields, reason=change.text)
    reporting.alert(change.name, change.text, raised=change.action is Action.RAISE)


def deliver(engine: Engine, settings: Settings) -> None:
    """Post to ALERT_WEBHOOK_URL what it has not taken yet; what it does not take stays for the next watch."""
    if not settings.alert_webhook_url:
        with engine.begin() as connection:
            connection.execute(MARK_ALL_SENT)
        return
    sent = True
    while sent and (unsent := _claim_unsent(engine)):
        action = Action.RAISE if unsent.raised else Action.CLEAR
        change = AlertChange(action, AlertName(unsent.name), unsent.text, unsent.value, unsent.threshold)
        sent = post(settings.alert_webhook_url, change, unsent.changed_at)
        with engine.begin() as connection:
            connection.execute(
                MARK_SENT, {"name": unsent.name, "changed_at": unsent.changed_at, "sent": sent}
            )


def _claim_unsent(engine: Engine) -> Any:
    with engine.begin() as connection:
        return connection.execute(CLAIM_UNSENT, {"seconds": NOTIFYING_SECONDS}).first()


def post(url: str, change: AlertChange, changed_at: datetime | None) -> bool:
    """Whether the webhook took it. ``text`` is what Slack and its like show; the rest is for programs."""
    status = "raised" if change.action is Action.RAISE else "cleared"
    message: dict[str, Any] = {
        "text": f"Neverdrop: {change.name} {status}: {change.text}",
        "alert": change.name.value,
        "status": status,
        "reason": change.text,
        "value": change.value,
        "threshold": change.threshold,
        "at": changed_at.isoformat() if changed_at else None,
        "host": gethostname(),
    }
    try:
        httpx.post(url, json=message, timeout=WEBHOOK_TIMEOUT_SECONDS).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Not the error's text: it holds the URL, which is a secret
        log.warning("alert.not_delivered", alert=change.name.value, error=type(error).__name__)
        return False
    return True
