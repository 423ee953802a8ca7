"""What every command refuses before it does anything: text that is empty or no text, and rates that are none."""

import getpass
import math
import os
from typing import Any

import click

MIN_RATE = 0.001  # a second
MAX_RATE = 1_000_000.0


class Words(click.ParamType[str]):
    """Text that says something: not empty, without NUL, and in UTF-8 (an empty filter would match everything)."""

    name = "text"

    def __init__(self, *, may_be_empty: bool = False) -> None:
        self._may_be_empty = may_be_empty

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if not text.strip() and not self._may_be_empty:
            self.fail("it is empty: leave it out, or say something", param, ctx)
        if "\0" in text:
            self.fail(
                "it has a NUL character in it, which is in nothing that is stored: leave it out", param, ctx
            )
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail("it is not UTF-8: type it in a terminal that is", param, ctx)
        return text


class Finite(click.FloatRange):
    """A number within a range; not NaN, which is neither too small nor too large."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail("it is no number", param, ctx)
        return number


WORDS = Words()
WORDS_OR_NONE = Words(may_be_empty=True)
RATE = Finite(MIN_RATE, MAX_RATE)


def user() -> str:
    """Return who runs this command; in a container a user may have no name."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return f"user {os.getuid()}"


def refuse_nonsense(command: click.Command) -> None:
    """Let each text and number of a command, and of those in its group, be one that says something."""
    for parameter in command.params:
        if parameter.type is click.STRING:
            parameter.type = WORDS_OR_NONE if parameter.default == "" else WORDS
        elif type(parameter.type) is click.FloatRange:
            parameter.type = Finite(parameter.type.min, parameter.type.max)
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            refuse_nonsense(inner)
