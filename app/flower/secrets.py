"""Takes the secrets of this process's settings out of what Flower shows of workers and the broker."""

from typing import Any
from urllib.parse import unquote, urlsplit

from config.settings import Settings

HIDDEN = "********"
MIN_SECRET = 3  # characters; a shorter one would be found in every word


def secrets_of(settings: Settings) -> tuple[str, ...]:
    """Return every secret that a setting holds, the longest first; a URL's password also as it is quoted."""
    found: set[str] = set()
    for url in (settings.redis_url, settings.database_url, settings.sentry_dsn):
        parts = urlsplit(url)
        for secret in (parts.password, parts.username if url == settings.sentry_dsn else None):
            found |= {secret, unquote(secret)} if secret else set()
    secrets = (*settings.whatsapp_app_secret, *settings.whatsapp_verify_token, settings.flower_basic_auth)
    found |= {secret.get_secret_value() for secret in secrets}
    found.add(settings.alert_webhook_url)
    return tuple(sorted((each for each in found if len(each) >= MIN_SECRET), key=len, reverse=True))


def without_secrets(value: Any, secrets: tuple[str, ...]) -> Any:
    """Return JSON with each secret in its texts replaced."""
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
        return value
    if isinstance(value, dict):
        return {without_secrets(key, secrets): without_secrets(each, secrets) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(each, secrets) for each in value]
    return value
