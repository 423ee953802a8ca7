"""What a request asks for, checked before anything is done."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from math import isfinite
from typing import Any

from app.errors import NeverdropError
from app.payload import UNSTORABLE
from app.stores import MAX_ID
from app.views import SORTED_BY, Filter, Order

MAX_TEXT = 1000  # characters of a search or a reason
MAX_IDS = 1000  # of one request
MAX_HOURS = 365 * 24  # of a pause
TEXTS = ("kind", "type", "handler", "error", "conversation", "error_class", "search")
TIMES = ("before", "after")


class BadRequest(NeverdropError):
    """The request cannot be understood; the text says which part."""


def text(name: str, value: Any, longest: int = MAX_TEXT) -> str:
    """A text that Postgres can hold, without white space around it."""
    if not isinstance(value, str):
        raise BadRequest(f"{name} must be a text")
    if len(value) > longest:
        raise BadRequest(f"{name} must have at most {longest} characters")
    if UNSTORABLE.search(value):
        raise BadRequest(f"{name} holds characters that cannot be stored")
    return value.strip()


def reason(body: Mapping[str, Any]) -> str:
    """Why somebody decides that events need not be handled; it must not be empty."""
    given = text("reason", body.get("reason", ""))
    if not given:
        raise BadRequest("give a reason: it is kept with the event")
    return given


def moment(name: str, value: Any) -> datetime:
    """An ISO time; without a zone it is UTC."""
    try:
        found = datetime.fromisoformat(text(name, value))
    except ValueError as error:
        raise BadRequest(f"{name} must be a time such as 2026-01-31T12:00:00Z") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def event_id(value: Any) -> int:
    """An event's id, as a number or in digits."""
    return _positive("an id", value)


def page_size(value: Any) -> int:
    """How many rows a page is to have."""
    return _positive("limit", value)


def _positive(name: str, value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if type(value) is not int or not 0 < value <= MAX_ID:
        raise BadRequest(f"{name} must be a positive number")
    return value


def event_ids(value: Any) -> list[int]:
    if not isinstance(value, list) or not value:
        raise BadRequest("ids must be a list of numbers")
    if len(value) > MAX_IDS:
        raise BadRequest(f"at most {MAX_IDS} ids at a time; use the filter for more")
    return [event_id(each) for each in value]


def rate(value: Any) -> float | None:
    """Events a second; None is all at once."""
    if value is None or value == "":
        return None
    if type(value) not in (int, float) or not isfinite(value) or not 0.001 <= value <= 1_000_000:
        raise BadRequest("the rate must be a number of events a second, 0.001 or more")
    return float(value)


def hours(value: Any) -> float | None:
    """For how long a pause is, in seconds; None is until somebody ends it."""
    if value is None or value == "":
        return None
    if type(value) not in (int, float) or not isfinite(value) or not 0 < value <= MAX_HOURS:
        raise BadRequest(f"hours must be a number above 0, {MAX_HOURS} (a year) at most")
    return float(value) * 3600


def whole(name: str, value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_ID:
        raise BadRequest(f"{name} must be a whole number")
    return value


def wanted(given: Any) -> Filter:
    """The filter that a form or a program gave; empty texts are any."""
    if not isinstance(given, Mapping):
        raise BadRequest("filter must be an object")
    unknown = set(given) - {*TEXTS, *TIMES, "ids"}
    if unknown:
        raise BadRequest(f"unknown filter: {', '.join(sorted(map(str, unknown)))}")
    found: dict[str, Any] = {name: text(name, given[name]) for name in TEXTS if given.get(name)}
    found |= {name: moment(name, given[name]) for name in TIMES if given.get(name)}
    ids = [event_id(each) for each in given["ids"].split(",")] if given.get("ids") else None
    return Filter(ids=ids, **found)


def sorting(sort: Any, order: Any, sorted_by: Collection[str] = SORTED_BY) -> tuple[str, Order]:
    """By what a table is sorted, and in which order."""
    if not isinstance(sort, str) or sort not in sorted_by:
        raise BadRequest(f"sort must be one of {', '.join(sorted_by)}")
    if order not in ("ascending", "descending"):
        raise BadRequest("order must be ascending or descending")
    return sort, "ascending" if order == "ascending" else "descending"
