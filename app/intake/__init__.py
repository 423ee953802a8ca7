"""Store the raw body of a webhook durably before it is acknowledged.

Promises: a body is in Redis's journal, else in Postgres, or the caller gets ``Unavailable``.
Relies on: Redis with ``appendfsync always``; Postgres with ``synchronous_commit=on``.
Cannot see: a disk that loses what it confirmed.
"""

from app.intake import fallback_store, primary_store
from app.intake.accept import Intake, Unavailable, process_intake, store_body

__all__ = ["Intake", "Unavailable", "fallback_store", "primary_store", "process_intake", "store_body"]
