"""Answer HTTP: ``/webhook`` for Meta, ``/healthz``, ``/readyz`` and ``/metrics`` for operators.

Promises: nothing unsigned gets in, and 200 means that ``intake`` has stored the body.
Relies on: ``WHATSAPP_APP_SECRET`` being secret; a proxy for TLS.
Cannot see: what the body holds; nothing is parsed here.
"""

from typing import Any

from app.web.signature import HEADER, sign

__all__ = ["HEADER", "sign"]


def __getattr__(name: str) -> Any:
    """Start the process when ``app`` is asked for, so that importing this package starts nothing."""
    if name == "app":
        from app.web.process import start

        return start()
    raise AttributeError(name)
