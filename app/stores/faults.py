"""Judge an error of Postgres or Redis: what its caller is to do now.

Postgres, by SQLSTATE (the driver's exception classes mislead: a read-only server is an "InternalError" to it):

    08 connection, 28 login, 3D000 no such database, 53 no room or connection left,
    57P03 starting up, 57P04 database dropped, 58 its disk, F0 its files         → AWAY
    25006 it only reads (a failover), 25P03, 25P04 the session waited too long,
    57P01 shut down, 57P02 crashed, 57P05 idle, 40003 outcome unknown,
    26000 and 42P05 a prepared statement is not as we remember it,
    0A000 "cached plan must not change result type", or the connection is closed  → CONNECTION
    40 serialization or deadlock, 55P03 a lock was not to be had in time          → AGAIN
    42 no such table, column or right: the schema is another release's            → SCHEMA
    57014 cancelled by ``statement_timeout``, and all others                      → ITEM
    no SQLSTATE at all: nobody answered                                           → AWAY

Redis, by the first word of its answer:

    no answer, LOADING, MASTERDOWN, NOREPLICAS, BUSY, OOM, MISCONF, NOAUTH, WRONGPASS, NOPERM,
    CLUSTERDOWN, MOVED, ASK, CROSSSLOT, TRYAGAIN                                  → AWAY
    READONLY, UNBLOCKED (a failover)                                              → CONNECTION
    NOSCRIPT, or a watched key changed                                            → AGAIN
    all others                                                                    → ITEM

What it cannot see: whose statement it was. In a handler SCHEMA and ITEM are the handler's own faults.
"""

import re
from enum import StrEnum

import psycopg2
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, WatchError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError


class Fault(StrEnum):
    """What is wrong, and so what to do."""

    AWAY = "away"  # the store cannot do it now: wait, then connect anew
    CONNECTION = "connection"  # this connection is of no more use: throw it away, try on another
    AGAIN = "again"  # the transaction lost a race: the same again, at no attempt's cost
    SCHEMA = "schema"  # the tables are not as this release needs them: wait for the migration
    ITEM = "item"  # the store works and refuses what it was given: find which item, and isolate it


STORE_ERRORS = (SQLAlchemyError, psycopg2.Error, RedisError)
# What writing rows may raise for a value in them: Postgres, or the driver before it asks
REFUSALS = (DBAPIError, ValueError, OverflowError, OSError)

# SQLSTATEs, and classes of them (their first two characters)
SQLSTATES = {
    "08": Fault.AWAY,
    "28": Fault.AWAY,
    "3D": Fault.AWAY,
    "53": Fault.AWAY,
    "57P03": Fault.AWAY,
    "57P04": Fault.AWAY,
    "58": Fault.AWAY,
    "F0": Fault.AWAY,
    "25006": Fault.CONNECTION,
    "25P03": Fault.CONNECTION,
    "25P04": Fault.CONNECTION,
    "26": Fault.CONNECTION,
    "40003": Fault.CONNECTION,
    "42P05": Fault.CONNECTION,
    "57P01": Fault.CONNECTION,
    "57P02": Fault.CONNECTION,
    "57P05": Fault.CONNECTION,
    "40": Fault.AGAIN,
    "55P03": Fault.AGAIN,
    "42": Fault.SCHEMA,
}
STALE_PLAN = ("0A000", "cached plan")  # 0A000 also says "not supported", which is the statement's own fault

REDIS_WORDS = {
    "LOADING": Fault.AWAY,
    "MASTERDOWN": Fault.AWAY,
    "NOREPLICAS": Fault.AWAY,
    "BUSY": Fault.AWAY,
    "OOM": Fault.AWAY,
    "MISCONF": Fault.AWAY,
    "NOAUTH": Fault.AWAY,
    "WRONGPASS": Fault.AWAY,
    "NOPERM": Fault.AWAY,
    "CLUSTERDOWN": Fault.AWAY,
    "MOVED": Fault.AWAY,
    "ASK": Fault.AWAY,
    "CROSSSLOT": Fault.AWAY,
    "TRYAGAIN": Fault.AWAY,
    "READONLY": Fault.CONNECTION,
    "UNBLOCKED": Fault.CONNECTION,
    "NOSCRIPT": Fault.AGAIN,
}
# A pipeline and a script say more before it; a script's own error has a dash
REDIS_WORD = re.compile(rf"(?:^|caused error: |: )-?({'|'.join(REDIS_WORDS)})\b")


def judge(error: BaseException) -> Fault | None:
    """The fault of a store's error; None for an error of something else."""
    if isinstance(error, RedisError):
        return _redis_fault(error)
    if isinstance(error, DBAPIError) and isinstance(error.orig, BaseException):
        return Fault.CONNECTION if error.connection_invalidated else _postgres_fault(error.orig)
    if isinstance(error, psycopg2.Error):
        return _postgres_fault(error)
    if isinstance(error, PoolTimeoutError):
        return Fault.AWAY  # every connection of the pool waits for Postgres
    return Fault.ITEM if isinstance(error, SQLAlchemyError) else None


def is_items_fault(error: BaseException) -> bool:
    """Return whether a row is refused for what is in it; else all of a group are to be tried again."""
    return judge(error) in (None, Fault.ITEM)  # None: an error of Python, over a value that cannot be written


def sqlstate(error: BaseException) -> str | None:
    """Postgres's code for what went wrong, such as ``57014``; None where it sent none."""
    code = getattr(getattr(error, "orig", None) or error, "pgcode", None)
    return None if code is None else str(code)


def _postgres_fault(error: BaseException) -> Fault:
    code = sqlstate(error)
    if code is not None:
        if code == STALE_PLAN[0] and STALE_PLAN[1] in str(error):
            return Fault.CONNECTION
        return SQLSTATES.get(code) or SQLSTATES.get(code[:2]) or Fault.ITEM
    if isinstance(error, psycopg2.InterfaceError):  # "connection already closed"
        return Fault.CONNECTION
    # A plain DatabaseError is libpq's: what it received was no answer
    return Fault.AWAY if type(error) in (psycopg2.OperationalError, psycopg2.DatabaseError) else Fault.ITEM


def _redis_fault(error: RedisError) -> Fault:
    # redis-py takes the word off an answer that it has a class for, and keeps it here
    word = getattr(error, "status_code", None)
    if word not in REDIS_WORDS:
        match = REDIS_WORD.search(str(error))
        word = match[1] if match else None
    if word is not None:
        return REDIS_WORDS[word]
    if isinstance(error, WatchError):
        return Fault.AGAIN
    return Fault.AWAY if isinstance(error, (RedisConnectionError, RedisTimeoutError)) else Fault.ITEM
