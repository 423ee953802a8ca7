"""What a worker answers when somebody asks it what it is: ``neverdrop doctor`` compares the answers."""

from typing import Any

from celery.worker.control import inspect_command

from app.handlers import registry
from app.watch import reporting


@inspect_command()
def neverdrop_about(state: Any) -> dict[str, Any]:
    """Return the release, the queues and the handlers of this worker."""
    return {
        "release": reporting.release(),
        "queues": sorted(state.consumer.app.amqp.queues.consume_from),
        "handlers": sorted({handler.name for _, handler in registry.items()}),
    }
