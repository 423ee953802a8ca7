"""Which events people choose: only what they asked for becomes a condition, and no value becomes SQL."""

from datetime import UTC, datetime

import pytest

from app.views import Filter

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def test_a_filter_that_says_nothing_has_no_condition() -> None:
    assert Filter().where("e.finished_at") == ("", {})


def test_times_are_those_of_the_expression_that_is_asked_for() -> None:
    conditions, parameters = Filter(before=NOW, after=NOW).where("e.failed")
    assert conditions == " AND e.failed < :before AND e.failed >= :after"
    assert parameters == {"before": NOW, "after": NOW}


@pytest.mark.parametrize(
    "name", ["kind", "type", "handler", "error", "error_class", "conversation", "search"]
)
def test_a_text_is_a_parameter_and_never_a_part_of_the_statement(name: str) -> None:
    hostile = "{failed_at}'; DROP TABLE events; --"
    conditions, parameters = Filter(**{name: hostile}).where("e.failed")
    assert "DROP" not in conditions
    assert parameters[name] == hostile


@pytest.mark.parametrize(("typed", "bare"), [("+1 555 1234567", "15551234567"), ("200/15551234567", "")])
def test_a_phone_number_alone_is_looked_for_behind_any_business(typed: str, bare: str) -> None:
    assert Filter(conversation=typed).where("x")[1]["bare"] == bare


def test_a_search_looks_into_payloads_as_they_spell_it() -> None:
    assert Filter(search='Grüße "x"').where("x")[1]["escaped"] == 'Gr\\u00fc\\u00dfe \\"x\\"'
