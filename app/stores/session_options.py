"""What every session of Postgres is opened with: how long each side waits, and when a commit is durable. Pure: no I/O.

What is set here outranks ``ALTER ROLE ... SET`` and ``ALTER DATABASE ... SET``, so that neither a role's short
``statement_timeout`` nor a database's ``synchronous_commit = off`` decides whether a webhook is kept.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

CONNECT_TIMEOUT_SECONDS = 5
# A peer that vanished without a word is noticed after about this long: by the client ...
KEEPALIVE_IDLE_SECONDS = 10
KEEPALIVE_INTERVAL_SECONDS = 5
KEEPALIVE_COUNT = 3
USER_TIMEOUT_MS = 20_000  # of bytes that were sent and are not acknowledged, which keepalive does not look at
CLIENT_KEEPALIVE: Mapping[str, int] = {
    "keepalives_idle": KEEPALIVE_IDLE_SECONDS,
    "keepalives_interval": KEEPALIVE_INTERVAL_SECONDS,
    "keepalives_count": KEEPALIVE_COUNT,
    "tcp_user_timeout": USER_TIMEOUT_MS,
}
# ... and by the server, which otherwise keeps the locks of a machine that is gone for two hours
SERVER_KEEPALIVE: Mapping[str, str] = {
    "tcp_keepalives_idle": str(KEEPALIVE_IDLE_SECONDS),
    "tcp_keepalives_interval": str(KEEPALIVE_INTERVAL_SECONDS),
    "tcp_keepalives_count": str(KEEPALIVE_COUNT),
    "tcp_user_timeout": str(USER_TIMEOUT_MS),
    # A statement whose client is gone ends, though it has nothing to send yet
    "client_connection_check_interval": "10s",
}
# Plans of prepared statements are made once a connection: see ``prepared``
PLANNED_ONCE: Mapping[str, str] = {"plan_cache_mode": "force_generic_plan"}


def milliseconds(seconds: float) -> str:
    """Return seconds as a Postgres setting, at least 1 ms: 0 would mean no limit."""
    return f"{max(1, round(seconds * 1000))}ms"


def options(**settings: str) -> str:
    """The startup parameter ``options``: server-side keepalive, and these settings."""
    return " ".join(f"-c {name}={value}" for name, value in {**SERVER_KEEPALIVE, **settings}.items())


def connect_args(application_name: str, database_url: str, **settings: str) -> dict[str, Any]:
    """psycopg2's arguments for a session with these settings.

    Where DATABASE_URL names several hosts, only the one that takes writes is good enough.
    """
    arguments: dict[str, Any] = {
        "application_name": application_name,
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        **CLIENT_KEEPALIVE,
        "options": options(**settings),
    }
    if _names_several_hosts(database_url) and "target_session_attrs=" not in database_url:
        arguments["target_session_attrs"] = "read-write"
    return arguments


def driver_url(database_url: str) -> str:
    """Return a URL of psql's as SQLAlchemy spells it: with its driver, and ``host=`` for each host with a port."""
    parts = urlsplit(database_url)
    user, at, hosts = parts.netloc.rpartition("@")
    query = parts.query
    if "," in hosts and ":" in hosts:
        query = "&".join([*filter(None, [query]), *(f"host={host}" for host in hosts.split(","))])
        hosts = ""
    return f"postgresql+psycopg2://{user}{at}{hosts}{parts.path}{'?' if query else ''}{query}"


def _names_several_hosts(database_url: str) -> bool:
    """By commas, or by one ``host=`` for each, which is how SQLAlchemy writes hosts with ports."""
    parts = urlsplit(database_url)
    hosts = [parts.netloc.rpartition("@")[2], *parse_qs(parts.query).get("host", ())]
    return len([host for part in hosts for host in part.split(",") if host]) > 1
