"""Keep a test away from what the environment names: stores, targets, Meta, Sentry, whoever is alerted."""

import os

import pytest

from config.settings import Settings

TOKEN = "testing"  # noqa: S105  (nobody looks at it)
ENVIRONMENT = {"NEVERDROP_ENV": "development", "WHATSAPP_ACCESS_TOKEN": TOKEN, "LOG_FORMAT": "console"}
# Settings that lead to nothing outside and hold no secret
HARMLESS = frozenset({
    "neverdrop_env", "log_format", "log_personal_data", "port", "handlers", "allow_no_handlers", "pause_on_echo",
    "handler_time_limit_seconds", "claim_lease_seconds", "order_settle_seconds", "advance_budget_seconds",
    "sweep_grace_seconds", "retention_days", "redis_timeout_seconds", "database_timeout_seconds", "media_max_bytes",
    "unknown_send_seconds", "whatsapp_api_version", "targets_allow_private", "flower_read_only_users", "flower_roles",
})  # fmt: skip
MEDIA_STORE = "MEDIA_STORE"


def isolate(patch: pytest.MonkeyPatch, files: pytest.TempPathFactory) -> None:
    """Unset, until ``patch`` is undone, every setting that is not HARMLESS, in a variable or a file.

    Where a place for files is set, files go to a directory of the test's own.
    """
    names = [name.upper() for name in Settings.model_fields if name not in HARMLESS]
    stores_files = any(name in os.environ for name in (MEDIA_STORE, f"{MEDIA_STORE}_FILE"))
    for name in names:
        patch.delenv(name, raising=False)
        patch.delenv(f"{name}_FILE", raising=False)
    for name, value in ENVIRONMENT.items():
        patch.setenv(name, value)
    if stores_files:
        patch.setenv(MEDIA_STORE, str(files.mktemp("media")))
