"""Examine the settings: secrets, logins, who is told of alerts, and the places where files are kept."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from app.doctor.finding import Finding, Level
from app.errors import NeverdropError
from app.handlers import Registry, load_handlers
from app.targets import load_targets
from config.settings import DEVELOPMENT_VERIFY_TOKEN, Settings

MIN_SECRET = 16  # characters
MIN_PASSWORD = 12
MIN_FREE = 0.1  # of a disk


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong with the settings themselves."""
    yield from _handlers(settings)
    if settings.neverdrop_env == "production":
        yield from _secrets(settings)
        yield from _flower(settings)
        yield from _alerting(settings)
    yield from _files(settings)
    yield from _targets(settings)


def _handlers(settings: Settings) -> Iterator[Finding]:
    if not settings.handlers and not settings.allow_no_handlers:
        yield Finding(
            "handler_modules",
            "HANDLERS is not set here",
            "ingest and workers with this environment would run no code of yours",
            "set HANDLERS to your modules, or ALLOW_NO_HANDLERS=true",
            Level.ADVICE,
        )
        return
    try:
        load_handlers(settings.handler_modules, settings.handler_time_limit_seconds)
    except NeverdropError as error:
        yield Finding(
            "handler_modules",
            str(error),
            "no worker and no ingest starts with it",
            "correct the module, or HANDLERS",
        )


def _targets(settings: Settings) -> Iterator[Finding]:
    try:
        load_targets(settings, Registry())
    except NeverdropError as error:
        yield Finding(
            "targets",
            str(error),
            "no process of ingest, worker or forwarder starts with it",
            "correct FORWARD_URL, FORWARD_SECRET or the file of TARGETS",
        )


def _secrets(settings: Settings) -> Iterator[Finding]:
    for token in settings.verify_tokens:
        if len(token) < MIN_SECRET or token == DEVELOPMENT_VERIFY_TOKEN.encode():
            yield Finding(
                "secrets",
                "WHATSAPP_VERIFY_TOKEN is short or public",
                "whoever knows it can have an address of theirs taken for yours",
                f"choose a random one of {MIN_SECRET} characters or more, then `neverdrop connect`",
                Level.ADVICE,
            )
            break
    if len(settings.whatsapp_app_secret) > 1:
        yield Finding(
            "secrets",
            f"WHATSAPP_APP_SECRET lists {len(settings.whatsapp_app_secret)} secrets",
            "while one is replaced that is right; an old one that leaked still signs",
            "drop the old one when Meta has the new one, unless several apps post here",
            Level.ADVICE,
        )
    if not settings.access_tokens:
        yield Finding(
            "secrets",
            "WHATSAPP_ACCESS_TOKEN is not set",
            "replies wait in the outbox",
            "set it, if your handlers send",
            Level.ADVICE,
        )
    if settings.log_personal_data:
        yield Finding(
            "masking",
            "LOG_PERSONAL_DATA is true",
            "log lines, Sentry and reports hold phone numbers and texts",
            "leave it out, but for a short search for a fault",
            Level.ADVICE,
        )


def _flower(settings: Settings) -> Iterator[Finding]:
    users = [part for part in settings.flower_basic_auth.get_secret_value().split(",") if part.strip()]
    short = [part.partition(":")[0] for part in users if len(part.partition(":")[2]) < MIN_PASSWORD]
    if short:
        yield Finding(
            "flower",
            f"Flower's passwords of {', '.join(short)} have fewer than {MIN_PASSWORD} characters",
            "whoever guesses one can decide, and see what people wrote",
            "set longer ones in FLOWER_BASIC_AUTH",
            Level.ADVICE,
        )
    if users and not settings.flower_roles:
        yield Finding(
            "flower",
            "FLOWER_ROLES is not set",
            "whoever logs in to Flower may do all, also erase people and stop workers",
            "name each user's roles, such as ada:decide+reveal,*:read",
            Level.ADVICE,
        )


def _alerting(settings: Settings) -> Iterator[Finding]:
    if not settings.alert_webhook_url and not settings.sentry_dsn:
        yield Finding(
            "alerting",
            "neither ALERT_WEBHOOK_URL nor SENTRY_DSN is set",
            "alerts are log lines only: nobody is told",
            "set one of them, or let your monitor read `alert.raised`",
            Level.ADVICE,
        )
    if not settings.metrics_token.get_secret_value():
        yield Finding(
            "metrics",
            "METRICS_TOKEN is not set",
            "/metrics is closed: nothing can watch it from outside",
            "set it, and give it to Prometheus",
            Level.ADVICE,
        )
    if settings.retention_days is None:
        yield Finding(
            "retention",
            "RETENTION_DAYS is not set",
            "what users wrote is kept for ever, and the tables grow",
            "set how many days you need it, 8 or more",
            Level.ADVICE,
        )


def _files(settings: Settings) -> Iterator[Finding]:
    if settings.media_store and "://" not in settings.media_store:
        place = Path(settings.media_store)
        if not os.access(place if place.exists() else place.parent, os.W_OK):
            yield Finding(
                "media_store",
                f"MEDIA_STORE {place} cannot be written to here",
                "files that users send are not kept, and their jobs fail",
                "make the directory, for the user that workers run as",
            )
            return
    for place in {Path.cwd(), Path(settings.media_store or ".")}:
        if place.exists():
            usage = shutil.disk_usage(place)
            if usage.free < MIN_FREE * usage.total:
                yield Finding(
                    "disk",
                    f"the disk of {place} has {usage.free / usage.total:.0%} left",
                    "what is written there fails when it is full",
                    "free it, or make it larger",
                )
