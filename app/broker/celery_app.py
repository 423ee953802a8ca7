"""The Celery application that every process makes for itself."""

from typing import Any

from celery import Celery

from app.broker.steady_schedule import every
from config.celery import celery_config
from config.settings import Settings


class NeverdropCelery(Celery):
    """Celery as ``config.celery`` has it, on REDIS_URL.

    Celery itself would believe CELERY_BROKER_URL, and its command line BROKER_URL, which on a platform that runs other
    applications too may be theirs.
    """

    def __init__(self, settings: Settings, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        config = celery_config(settings)
        self.conf.update(config)
        self.conf.beat_schedule = {
            name: {**entry, "schedule": every(entry["schedule"])}
            for name, entry in config["beat_schedule"].items()
        }
        self._broker_url = config["broker_url"]

    def connection(self, hostname: Any = None, *more: Any, **named: Any) -> Any:
        return super().connection(hostname or self._broker_url, *more, **named)

    def connection_for_read(self, url: Any = None, **named: Any) -> Any:
        return super().connection_for_read(url or self._broker_url, **named)

    def connection_for_write(self, url: Any = None, **named: Any) -> Any:
        return super().connection_for_write(url or self._broker_url, **named)
