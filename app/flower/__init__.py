"""Show our pages in Flower's own application: one login, one address, one navigation bar.

Promises: personal data is masked unless asked for, and who may only look can change nothing.
Relies on: Flower's templates and routes, whose version is pinned.
Cannot see: a worker that sends no events; the pipeline page reads the stores instead.
"""

from app.flower.application import with_neverdrop_pages

__all__ = ["with_neverdrop_pages"]
