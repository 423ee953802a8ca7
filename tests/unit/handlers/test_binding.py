"""Handlers for some of the business's numbers: one deployment serves several bots."""

import json
from collections.abc import Sequence

import pytest

from app.handlers import on_answer, on_message
from app.handlers import registry as process_registry
from app.handlers.binding import Origin
from app.handlers.options import HandlerError
from app.handlers.registration import Registry
from tests.helpers import factories as f

SHOP, BANK = "200300400500600", "200300400500601"


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setattr(process_registry, "handlers", {})
    monkeypatch.setattr(process_registry, "bound", {})
    return process_registry


def shop(*_: object) -> None:
    pass


def bank(*_: object) -> None:
    pass


def both(*_: object) -> None:
    pass


def found(registry: Registry, type_: str = "text", number: str = "", account: str = "") -> list[str]:
    names = registry.find_all("message", type_, Origin(number, account))
    return [handler.name.rpartition(".")[2] for handler in names]


def test_each_number_has_a_handler_of_its_own(registry: Registry) -> None:
    on_message("text", numbers=[SHOP])(shop)
    on_message("text", numbers=[BANK])(bank)
    on_message("text", lane="crm")(both)
    assert found(registry, number=SHOP) == ["shop", "both"]
    assert found(registry, number=BANK) == ["bank", "both"]
    assert found(registry, number="200300400500602") == ["both"]


def test_a_handler_may_be_bound_to_an_account(registry: Registry) -> None:
    on_message("text", accounts=[f.ACCOUNT])(shop)
    assert found(registry, number=SHOP, account=f.ACCOUNT) == ["shop"]
    assert found(registry, number=SHOP, account="1") == []


def test_a_handler_of_the_very_type_comes_before_that_of_all_types_of_its_number(registry: Registry) -> None:
    on_message(numbers=[SHOP])(shop)
    on_message("text")(both)
    assert found(registry, "text", number=SHOP) == ["both"]
    assert found(registry, "image", number=SHOP) == ["shop"]
    assert found(registry, "image", number=BANK) == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({}, {"numbers": [SHOP]}),
        ({"numbers": [SHOP, BANK]}, {"numbers": [BANK]}),
        ({"accounts": ["1"]}, {"accounts": ["1"]}),
        ({"accounts": ["1"]}, {"numbers": [SHOP]}),
    ],
)
def test_two_handlers_that_may_both_be_for_one_event_are_refused(
    registry: Registry, first: dict[str, Sequence[str]], second: dict[str, Sequence[str]]
) -> None:
    for one, other in ((first, second), (second, first)):
        registry.handlers.clear()
        registry.bound.clear()
        on_message("text", **one)(shop)  # type: ignore[arg-type]
        with pytest.raises(HandlerError, match=r"two handlers for message 'text' .* numbers=\[\.\.\.\]"):
            on_message("text", **other)(bank)  # type: ignore[arg-type]


@pytest.mark.parametrize("numbers", ["123", ["+15550001"], [1], ["15 55"]])
def test_what_are_no_ids_is_refused(registry: Registry, numbers: Sequence[str]) -> None:
    with pytest.raises(HandlerError, match="numbers"):
        on_message("text", numbers=numbers)(shop)
    assert not registry.bound


def test_an_answer_may_be_expected_by_each_bot(registry: Registry) -> None:
    on_answer("size", numbers=[SHOP])(shop)
    on_answer("size", numbers=[BANK])(bank)
    name, _ = registry.expectation("size", "main", Origin(BANK))
    assert name.endswith(".bank")


def test_an_event_says_where_it_came_in() -> None:
    payload = json.dumps({"entry": "1", "value": {"metadata": {"phone_number_id": SHOP}}, "item": {}})
    assert Origin.of(payload) == Origin(SHOP, "1")
    assert Origin.of('{"entry": 1, "value": [], "item": null}') == Origin()
