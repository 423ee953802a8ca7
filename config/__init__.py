"""Settings, queues and logging: what is configured, nothing that acts.

``settings`` is read once from the environment; ``celery`` names queues and tasks and sets their limits;
``redis_endpoint`` turns one URL into the options of every Redis client; ``logging`` sets up the log lines.
Imports nothing from ``app`` or ``tasks``.
"""
