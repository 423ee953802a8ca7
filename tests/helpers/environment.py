"""What this process has read of its environment, and what it has opened for it."""

from app.stores import connections
from config.settings import settings
from tests.helpers import loop


def reset() -> None:
    """Close what is open and drop what was read, so that the environment is read again."""
    for engine in (connections.engine, connections.web_engine):
        if engine.cache_info().currsize:
            engine().dispose()
    for client in (connections.redis, connections.web_redis):
        if client.cache_info().currsize:
            client().close()
    connections.reset()
    loop.close()
    settings.cache_clear()
