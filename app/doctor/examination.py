"""Every part of the examination in turn."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from app.doctor import configuration, forgotten, meta, outside, postgres_store, processes, redis_store
from app.doctor.finding import Finding
from app.errors import NeverdropError
from app.graph import AppFacts, ask
from app.stores import check_database
from app.watch import PartialProbe
from config.settings import Settings

STORE_SECONDS = 10.0
TEXTS = text("SELECT name, text FROM alerts WHERE raised")


@dataclass(frozen=True, slots=True)
class Outside:
    """What is looked at beyond the stores: at Meta, and from outside."""

    meta: bool = False
    deliver: bool = False
    url: str | None = None
    accounts: tuple[str, ...] = ()


def stores(engine: Engine, redis: "Redis") -> Iterator[Finding]:
    """Yield what is wrong with the stores; cheap enough for the start of a process."""
    yield from redis_store.examine(redis)
    yield from postgres_store.examine(engine)
    yield from _owner(engine, redis)


def everything(
    settings: Settings, engine: Engine, redis: "Redis", wanted: Outside, progress: Callable[[str], object]
) -> Iterator[Finding]:
    """Yield all that is wrong, each check once."""
    yield from configuration.examine(settings)
    found = list(stores(engine, redis))
    yield from found
    measured = PartialProbe().ask(engine, redis, settings.alert_growth_window_seconds, STORE_SECONDS)
    known = {each.check for each in found}
    workers = processes.ask_workers(settings) + processes.others(redis) if measured.transport else []
    for finding in processes.judge(measured, workers, _texts(engine)):
        if finding.check not in known:  # the store that is away says so itself
            yield finding
    yield from forgotten.examine(engine)
    url = wanted.url
    if wanted.meta:
        tokens = dict.fromkeys(settings.access_tokens.values())
        facts = [ask(token, _secrets(settings), wanted.accounts) for token in tokens]
        yield from _meta(settings, facts, wanted)
        url = url or next((f.subscription.callback_url for f in facts if f.subscription), None)
    if wanted.deliver:
        address = url or f"http://127.0.0.1:{settings.port}/webhook"
        delivered = outside.deliver(address, settings.app_secrets[0], engine, progress)
        yield from delivered.findings
        if delivered.done_seconds is not None:
            progress(f"done in {delivered.done_seconds:.2f} s")


def _meta(settings: Settings, facts: list[AppFacts], wanted: Outside) -> Iterator[Finding]:
    yield from meta.version(settings.whatsapp_api_version, datetime.now(UTC).date())
    if not facts:
        yield Finding(
            "meta_token",
            "WHATSAPP_ACCESS_TOKEN is not set",
            "nothing can be sent, and Meta cannot be asked",
            "make a token of a system user with both scopes, and set it",
        )
    urls = [wanted.url] if wanted.url else []
    for each in facts:
        yield from meta.judge(each, wanted.url, datetime.now(UTC))
        if each.subscription and each.subscription.callback_url:
            urls.append(each.subscription.callback_url)
    for url in dict.fromkeys(address.rstrip("/") for address in urls):
        problem = outside.handshake(url, settings.verify_tokens[0].decode())
        yield from meta.handshake(url, problem)
        if problem is None and (finding := outside.unsigned(url)):
            yield finding


def _secrets(settings: Settings) -> list[str]:
    return [secret.decode() for secret in settings.app_secrets]


def _owner(engine: Engine, redis: "Redis") -> Iterator[Finding]:
    """Yield whether this Redis belongs to another database."""
    try:
        with engine.connect() as connection:
            check_database(redis, connection)
    except NeverdropError as error:
        what, _, fix = str(error).partition(". ")
        yield Finding(
            "redis_owner", what, "the processes of one database would run the events of another", fix
        )
    except (RedisError, SQLAlchemyError):
        return


def _texts(engine: Engine) -> dict[str, str]:
    try:
        with engine.connect() as connection:
            return {row.name: row.text for row in connection.execute(TEXTS)}
    except SQLAlchemyError:
        return {}
