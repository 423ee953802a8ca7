"""How the ``neverdrop dead`` commands choose dead letters: the same filters as Flower's page."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click

from app.views import Filter


class TimeParameter(click.ParamType[datetime]):
    """An ISO time; without a zone it is UTC."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            found = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time such as 2026-01-31T12:00", param, ctx)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


FILTERS = (
    click.option("--type", help="of this type only"),
    click.option("--kind", type=click.Choice(["message", "status", "other"]), help="of this kind only"),
    click.option("--handler", help="of this handler only"),
    click.option("--error", help="whose error contains this text"),
    click.option("--error-class", help="whose error is of this class, such as TimeoutError"),
    click.option(
        "--conversation",
        help="of this conversation only: a name, a phone number or user id alone, or its number",
    ),
    click.option("--search", help="with this text in the key, conversation, error, handler or payload"),
    click.option(
        "--after", type=TimeParameter(), help="that died at this time or later; UTC unless it says otherwise"
    ),
    click.option("--before", type=TimeParameter(), help="that died before this time"),
)


def filtered(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets them together, as ``wanted``."""

    def with_filter(**given: Any) -> Any:
        names = [option for option in NAMES if option in given]
        return command(wanted=Filter(**{name: given.pop(name) for name in names}), **given)

    with_filter.__name__, with_filter.__doc__ = command.__name__, command.__doc__
    with_filter.__dict__.update(command.__dict__)  # the options that were added before
    for option in reversed(FILTERS):
        with_filter = option(with_filter)
    return with_filter


NAMES = ("type", "kind", "handler", "error", "error_class", "conversation", "search", "after", "before")
