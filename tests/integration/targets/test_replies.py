"""What a target answers leaves once: committed with the job's being done, checked as from a handler."""

import json
from secrets import token_hex
from typing import Any

import pytest

from app.targets.answers import TargetAnswer
from tests.helpers import factories as f
from tests.helpers.core import text_body
from tests.integration.targets.conftest import Targets


def answering(*replies: Any) -> TargetAnswer:
    return TargetAnswer(200, body=json.dumps({"replies": replies}).encode())


def sends(targets: Targets) -> list[Any]:
    return targets.core.rows(
        "SELECT handler, step, recipient, body::json AS body, state::text FROM sends ORDER BY id"
    )


def test_replies_of_an_answer_wait_in_the_outbox(targets: Targets) -> None:
    crm = targets.add()
    crm.answers["a"] = [answering({"text": "hello", "buttons": ["Yes", "No"]}, {"react": "👍"})]
    targets.core.ingest(text_body("a"))
    targets.run()
    first, second = sends(targets)
    assert (first.handler, first.step, first.recipient) == ("target:crm", "1", f.phone(1))
    assert first.body["interactive"]["type"] == "button"
    assert second.body["reaction"]["emoji"] == "👍"
    assert targets.core.states() == {"done": 1}


def test_a_target_that_is_called_again_replies_once(targets: Targets) -> None:
    crm = targets.add()
    crm.answers["a"] = [answering({"text": "one"}), answering({"text": "one"})]
    targets.core.ingest(text_body("a"))
    targets.kill_in_the_middle()
    targets.let_leases_run_out()
    targets.run()
    assert crm.texts == ["a", "a"]
    assert len(sends(targets)) == 1


def test_what_meta_would_refuse_makes_a_dead_letter_and_nothing_leaves(targets: Targets) -> None:
    crm = targets.add()
    crm.answers = {
        "a": [answering({"text": "fine"}, {"text": "x" * 5000})],
        "b": [answering({"txt": "hello"})],
        "c": [TargetAnswer(200, body=b'{"replies": "hello"}')],
        "d": [answering({"text": "hello", "at": "tomorrow"})],
        "e": [answering({"text": "hello", "step": "a\x00b"})],
    }
    targets.core.ingest(*(text_body(text, sender=user) for user, text in enumerate("abcde", 1)))
    targets.run()
    assert targets.core.states() == {"dead": 5}
    assert sends(targets) == []
    errors = {text: targets.core.event(text).error for text in "abcde"}
    assert errors["a"].startswith("reply 2 of the answer: ")
    assert errors["b"] == "reply 1 of the answer: knows no txt"
    assert errors["c"] == "replies in the answer is no list of objects"
    assert errors["d"].startswith("reply 1 of the answer is of no shape")
    assert errors["e"].startswith("reply 1 of the answer is of no shape")


HOSTILE: dict[str, dict[str, Any]] = {
    "a step that is an object": {"text": "x", "step": {}},
    "a step that is longer than an index holds": {"text": "x", "step": token_hex(100_000)},
    "a key that is an object": {"text": "x", "cancel_key": {"a": [[]]}},
    "a status that there is not": {"text": "x", "after": 7},
    "a time before all years": {"text": "x", "at": "0001-01-01T00:00:00+23:59"},
    "a time after all years": {"text": "x", "at": "9999-12-31T23:59:59-23:59"},
    "a number that is an object": {"text": "x", "to": f.phone(3), "number": {"a": 1}},
    "a number that is longer than an index holds": {
        "text": "x",
        "to": f.phone(3),
        "number": token_hex(100_000),
    },
    "a lone surrogate": {"text": "x", "step": "\ud800"},
    "a place of one number": {"text": "x", "location": [1]},
    "rows that are none": {"text": "x", "list": [[[]]]},
}


def test_no_answer_holds_up_what_is_recorded_beside_it(targets: Targets) -> None:
    hostile, honest = targets.add("hostile"), targets.add("honest")
    hostile.answers = {name: [answering(reply)] for name, reply in HOSTILE.items()}
    targets.core.ingest(*(text_body(name, sender=user) for user, name in enumerate(HOSTILE, 1)))
    targets.run()
    assert targets.core.states() == {"done": len(HOSTILE), "dead": len(HOSTILE)}
    assert honest.seen
    assert sends(targets) == []


def test_a_result_that_cannot_be_written_holds_up_no_other(
    targets: Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    targets.add().answers["a"] = [TargetAnswer(200, body=b"a\x00b")]
    monkeypatch.setattr(TargetAnswer, "kept", property(lambda answer: answer.body.decode()))
    targets.core.ingest(text_body("a", sender=1), text_body("b", sender=2))
    targets.run()
    assert targets.core.event("b").state == "done"
    assert targets.core.event("a").state == "pending"  # posted again when its lease is over


def test_an_answer_without_replies_is_just_a_success(targets: Targets) -> None:
    crm = targets.add()
    crm.answers = {
        "a": [TargetAnswer(200, body=b"{not json")],
        "b": [TargetAnswer(200, body=b'{"ok": true}')],
    }
    targets.core.ingest(text_body("a", "b"))
    targets.run()
    assert (targets.core.states(), sends(targets)) == ({"done": 2}, [])
    assert targets.core.attempts_of("b")[0].answer == '200 {"ok": true}'
