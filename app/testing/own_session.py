"""The session in which a test looks at the effects of handlers, and prepares rows for them."""

from sqlalchemy import NullPool, create_engine
from sqlalchemy.orm import Session

from app.stores import driver_url


def open_session(database_url: str) -> Session:
    """Return a session over a connection that is not the bot's: what it does is no part of what is tested."""
    return Session(create_engine(driver_url(database_url), poolclass=NullPool))


def fresh(session: Session) -> Session:
    """Return the session; what was loaded is loaded again, unless the test has changed it and not flushed yet."""
    if not session.dirty:
        session.expire_all()
    return session
