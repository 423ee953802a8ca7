"""Check that a message is one that Celery can run, before Celery sees it. Pure: no I/O.

Celery and kombu trust what they read: a header of the wrong type, a content type that is not allowed or a broken
Base64 ends the consumer, which then finds the same message again after its restart. What passes here does not.
"""

import math
from collections.abc import Container
from typing import Any

PLAIN = (str, int, float, bool, type(None))
TEXT = (str, type(None))
# Headers of Celery's protocol 2 that are no plain value
NESTED_HEADERS = {"timelimit", "stamped_headers", "stamps"}
TEXT_HEADERS = (
    "root_id",
    "parent_id",
    "group",
    "shadow",
    "argsrepr",
    "kwargsrepr",
    "origin",
    "lang",
    "meth",
    "expires",
)
MAX_PRIORITY = 9
MAX_RETRIES = 1_000_000


class MalformedMessage(Exception):
    """The message cannot be run; the text names the part, never its value."""


def check(message: Any, tasks: Container[str]) -> None:
    """MalformedMessage unless ``message``, decoded JSON, calls one of ``tasks`` as Celery would write it."""
    _demand(isinstance(message, dict), "not an object")
    _demand(isinstance(message.get("body"), str), "body")
    _demand(message.get("content-type") == "application/json", "content-type")
    _demand(message.get("content-encoding") == "utf-8", "content-encoding")
    _check_properties(message.get("properties"))
    _check_headers(message.get("headers"), tasks)


def _check_properties(properties: Any) -> None:
    _demand(isinstance(properties, dict), "properties")
    _demand(isinstance(properties.get("delivery_tag"), str), "delivery_tag")
    _demand(properties.get("body_encoding") == "base64", "body_encoding")
    _demand(isinstance(properties.get("correlation_id"), TEXT), "correlation_id")
    _demand(isinstance(properties.get("reply_to"), TEXT), "reply_to")
    priority = properties.get("priority", 0)
    _demand(priority is None or (isinstance(priority, int) and 0 <= priority <= MAX_PRIORITY), "priority")
    route = properties.get("delivery_info")
    _demand(isinstance(route, dict), "delivery_info")
    _demand(isinstance(route.get("exchange"), str), "exchange")
    _demand(isinstance(route.get("routing_key"), str), "routing_key")


def _check_headers(headers: Any, tasks: Container[str]) -> None:
    _demand(isinstance(headers, dict), "headers")
    _demand(isinstance(headers.get("id"), str), "id")
    task = headers.get("task")
    _demand(isinstance(task, str) and task in tasks, "task")
    _demand("compression" not in headers, "compression")
    _demand(headers.get("eta") is None, "eta")  # it would be held in memory until then; we never send one
    for name in TEXT_HEADERS:
        _demand(isinstance(headers.get(name), TEXT), name)
    retries = headers.get("retries") or 0
    _demand(isinstance(retries, int) and 0 <= retries <= MAX_RETRIES, "retries")
    _check_time_limits(headers.get("timelimit"))
    _demand(isinstance(headers.get("stamped_headers") or [], list), "stamped_headers")
    _demand(isinstance(headers.get("stamps") or {}, dict), "stamps")
    for name, value in headers.items():
        _demand(name in NESTED_HEADERS or isinstance(value, PLAIN), "header")


def _check_time_limits(limits: Any) -> None:
    """``[hard, soft]`` in seconds."""
    if limits is None:
        return
    _demand(isinstance(limits, list) and len(limits) == 2, "timelimit")
    for limit in limits:
        is_number = isinstance(limit, (int, float)) and not isinstance(limit, bool)
        _demand(limit is None or (is_number and math.isfinite(limit) and limit > 0), "timelimit")


def _demand(condition: bool, part: str) -> None:
    if not condition:
        raise MalformedMessage(part)
