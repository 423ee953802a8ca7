"""Which handlers a test's bot has."""

import sys
from importlib import import_module, reload

import pytest

from app.handlers import Context, Event, on_message, registry
from app.testing.registrations import Registrations

OWN = "app.handlers.prefetch"


def answer(_event: Event, _ctx: Context) -> None:
    """The handler of this file."""


def names(registrations: Registrations, *given: str) -> set[str]:
    found = registrations.of(sys.modules[__name__], given)
    return {handler.name.rpartition(".")[0] for _, handler in found.items()}


def test_a_handler_of_neverdrops_own_runs_only_where_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    own = import_module(OWN)  # registers at its first import in this process
    monkeypatch.setattr(registry, "handlers", {})
    reload(own)
    on_message("text")(answer)
    registrations = Registrations()
    assert names(registrations) == {__name__}  # though this file imports app.handlers
    assert names(registrations, OWN) == {OWN}
