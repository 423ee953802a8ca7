"""How ``neverdrop dead`` and ``neverdrop held`` choose events: the same filters as Flower's page."""

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


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

WHAT: tuple[Decorator, ...] = (
    click.option("--type", help="of this type only"),
    click.option("--kind", type=click.Choice(["message", "status", "other"]), help="of this kind only"),
    click.option("--handler", help="of this handler only"),
    click.option("--lane", help="in lanes of this name only"),
    click.option("--error", help="whose error contains this text"),
    click.option("--error-class", help="whose error is of this class, such as TimeoutError"),
    click.option(
        "--conversation",
        help="of this conversation only: a name, a phone number or user id alone, or its number",
    ),
    click.option("--search", help="with this text in the key, conversation, error, handler or payload"),
)


def _when(happened: str) -> tuple[Decorator, ...]:
    return (
        click.option(
            "--after",
            type=TimeParameter(),
            help=f"that {happened} at this time or later; UTC unless it says otherwise",
        ),
        click.option("--before", type=TimeParameter(), help=f"that {happened} before this time"),
    )


def filtered(happened: str) -> Decorator:
    """Add the options; the command gets them together, as ``filter_``. ``happened``: what the times are of."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        def with_filter(**values: Any) -> Any:
            names = [option for option in NAMES if option in values]
            return command(filter_=Filter(**{name: values.pop(name) for name in names}), **values)

        with_filter.__name__, with_filter.__doc__ = command.__name__, command.__doc__
        with_filter.__dict__.update(command.__dict__)  # the options that were added before
        decorated: Callable[..., Any] = with_filter
        for option in reversed((*WHAT, *_when(happened))):
            decorated = option(decorated)
        return decorated

    return decorate


NAMES = (
    "type",
    "kind",
    "handler",
    "lane",
    "error",
    "error_class",
    "conversation",
    "search",
    "after",
    "before",
)
