"""Ask Postgres, at the start of a process, whether it keeps what it is given, and whether Redis is this database's.

Redis holds numbers of this database's rows (lanes, dead letters). A second deployment on the same Redis, with a
database of its own, would take the messages of the first, and find other rows under their numbers, or none.
"""

from typing import cast

from redis import Redis
from sqlalchemy import Connection, text

from app.stores.redis_checks import UnsafeJournal
from app.stores.redis_keys import DATABASE_ID
from config.logging import get_logger
from config.settings import settings

# A copy of the database in another cluster, or beside it under another name, is another database
IDENTITY = text("SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || current_database()")
MAY_ASK = text("SELECT has_function_privilege('pg_control_system()', 'EXECUTE')")
DURABLE = ("fsync", "full_page_writes")

log = get_logger(__name__)


class RedisNotOurs(UnsafeJournal):
    """Redis belongs to another database; the text says what to do."""


def check_database(client: "Redis", connection: Connection) -> None:
    """Warn of settings that lose what was committed; RedisNotOurs if Redis is another database's.

    The first database that asks becomes the owner. Raises SQLAlchemyError or RedisError where a store does not answer.
    """
    for setting in DURABLE:
        if connection.exec_driver_sql(f"SHOW {setting}").scalar() == "off":
            advice = f"Postgres has {setting}=off: a crash of its machine may lose all of it. Set it to on."
            log.warning("database.not_durable", advice=advice)
    if connection.scalar(MAY_ASK):
        check_owner(client, str(connection.scalar(IDENTITY)))


def check_owner(client: "Redis", database_id: str) -> None:
    """RedisNotOurs if Redis belongs to a database that is not ``database_id``."""
    client.set(DATABASE_ID, database_id, nx=True)
    owner = cast(bytes, client.get(DATABASE_ID) or b"").decode()
    if owner not in ("", database_id):
        raise RedisNotOurs(
            f"this Redis belongs to another database ({owner}, not {database_id}): two deployments on one "
            "Redis would run each other's events. Give each a REDIS_PREFIX, or a Redis, of its own. If the database "
            f"was moved on purpose, stop every process and delete {settings().key_prefix}{DATABASE_ID} in Redis."
        )
