"""Say what to do about an error that is not a fault of the program."""

import errno

OUTPUT_FAULTS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
QUERY_CANCELED = "57014"  # SQLSTATE


def sentence(error: Exception) -> str | None:
    """Return what to do about an error; None for a fault of the program."""
    from redis.exceptions import RedisError

    from app.errors import NeverdropError
    from app.stores import Fault, judge, sqlstate

    if isinstance(error, NeverdropError):
        return str(error)
    if isinstance(error, OSError) and error.errno in OUTPUT_FAULTS:
        return f"the output cannot be written: {error.strerror}. Make room, or write it elsewhere"
    fault = judge(error)
    if fault is None:
        return None
    if isinstance(error, RedisError):
        return f"Redis does not answer; is REDIS_URL right, and the server up?\n{error}"
    cause = getattr(error, "orig", None) or error
    if sqlstate(error) == QUERY_CANCELED:
        return (
            f"Postgres ended a statement that took too long: set a longer DATABASE_TIMEOUT_SECONDS\n{cause}"
        )
    if fault is Fault.SCHEMA:
        return f"the database has not the tables of this release: run `neverdrop migrate`\n{cause}"
    if fault is Fault.ITEM:
        return None
    return f"Postgres does not answer; is DATABASE_URL right, and the server up?\n{cause}"
