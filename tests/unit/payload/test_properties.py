"""What holds for every body: it is split without a fault, no item is lost, and its writing does not matter."""

import json
import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.payload.parse import ParsedBody, _seconds, parse
from tests.helpers import factories as f

ITEM_LISTS = (
    "messages", "statuses", "message_echoes", "calls", "groups", "user_preferences", "automatic_events",
    "user_actions", "history",
)  # fmt: skip
CORPUS = Path(os.environ.get("NEVERDROP_CORPUS") or Path(__file__).parents[4] / "shared" / "corpus")

# The same examples each time, however slow the machine
steady = settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
text = st.text(st.characters(exclude_categories=()), max_size=12)
scalar = st.none() | st.booleans() | st.integers() | st.floats() | text
anything = st.recursive(scalar, lambda inner: st.lists(inner) | st.dictionaries(text, inner), max_leaves=12)
user = st.integers(0, 5)
state = st.sampled_from(["sent", "delivered", "read", "failed", "deleted"])
number = st.integers(0, 9)
message = st.builds(f.text_message, text, number=number, sender=user)
status = st.builds(f.status, state, number=number, recipient=user)
group_status = st.builds(f.group_status, state, user, number=number)
call = st.builds(f.call, st.sampled_from(["connect", "terminate"]), number=number, caller=user)
contacts = st.none() | st.lists(st.builds(f.contact, user), max_size=3)


def some(items: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(items | anything, max_size=4)


change = st.one_of(
    st.builds(lambda items, who: f.messages(*items, contacts=who), some(message), contacts),
    st.builds(lambda items, who: f.statuses(*items, contacts=who), some(status | group_status), contacts),
    st.builds(lambda items: f.calls(*items), some(call)),
    st.builds(lambda items: f.echoes(*items), some(st.builds(f.echo, text, number=number, recipient=user))),
    st.builds(lambda items: f.standby(messages=items), some(message)),
    st.builds(lambda items: f.history(f.history_thread(1, *items)), st.lists(message, max_size=3)),
    st.builds(lambda items: f.user_preferences(*items), some(st.builds(f.preference, user=user))),
    st.builds(lambda value: f.change("messages", errors=value), st.lists(anything, min_size=1, max_size=3)),
    st.builds(lambda event: f.account_update(event), text),
    st.builds(lambda field, value: {"field": field, "value": value}, text, anything),
)
entries = st.lists(st.builds(lambda made: f.entry(*made), st.lists(change, max_size=4)), max_size=3)
bodies = st.builds(lambda made: f.batch(*made), entries)


def without_fault(body: bytes) -> ParsedBody:
    """Split a body; what is unreadable must be so by the body's fault."""
    parsed = parse(body)
    assert "while splitting" not in (parsed.unreadable or "")
    for index, event in enumerate(parsed.events):
        assert event.index == index
        json.loads(event.payload)
        for each in (event.type, event.key, *event.aliases):
            assert each
            assert len(each) <= 500
            assert "\x00" not in each
            each.encode("utf-8")
    return parsed


def count_items(body: Any) -> int:
    """The items of a body, counted without any of the program's own code."""
    return sum(_items_of(change) for change in _changes(body))


def _changes(body: Any) -> Iterator[Any]:
    if "entry" not in body:
        yield body
        return
    for entry in body["entry"]:
        yield from entry["changes"]


def _items_of(change: Any) -> int:
    value = change["value"]
    if not isinstance(value, dict):
        return 1
    lists = [value, value.get("standby") if change["field"] == "standby" else None]
    found = [
        level[name] for level in lists if isinstance(level, dict) for name in ITEM_LISTS if name in level
    ]
    if not found and "errors" not in value:
        return 1
    return sum(map(len, found)) + bool(value.get("errors"))


def rewritten(body: Any, chance: random.Random) -> bytes:
    """The same content, written otherwise: other order, white space, escaping, and another entry.time."""
    for entry in body.get("entry", []):
        entry["time"] = chance.randrange(2**31)
    return _written(body, chance).encode("utf-8", "surrogatepass")


def _written(value: Any, chance: random.Random) -> str:
    blank = chance.choice(["", " ", "\n\t"])
    if isinstance(value, str):
        return f'"{"".join(_letter(letter, chance) for letter in value)}"'
    if isinstance(value, list):
        return f"[{blank}{f',{blank}'.join(_written(each, chance) for each in value)}]"
    if isinstance(value, dict):
        names = chance.sample(sorted(value), len(value))
        members = (f"{_written(name, chance)}:{blank}{_written(value[name], chance)}" for name in names)
        return f"{{{blank}{f',{blank}'.join(members)}{blank}}}"
    return json.dumps(value)


def _letter(letter: str, chance: random.Random) -> str:
    if letter == "/":
        return chance.choice(["/", "\\/", "\\u002f", "\\u002F"])
    escaped = json.dumps(letter)[1:-1]
    if letter.isascii() and len(escaped) == 1:
        return chance.choice([letter, f"\\u{ord(letter):04x}"])
    # A raw surrogate beside another would not become one letter, as two escaped ones do.
    raw = letter > "\x7f" and not "\ud800" <= letter <= "\udfff"
    return chance.choice([letter, escaped]) if raw else escaped


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, name or place) in a body."""
    for name in value if isinstance(value, dict) else range(len(value)):
        yield value, name
        if isinstance(value[name], dict | list):
            yield from _places(value[name])


@steady
@given(st.binary())
def test_no_bytes_are_a_fault(body: bytes) -> None:
    assert len(without_fault(body).events) == 1


@steady
@given(anything)
def test_no_json_is_a_fault(value: Any) -> None:
    without_fault(json.dumps(value).encode())


@steady
@given(bodies, st.data())
def test_no_damage_to_a_body_is_a_fault(body: Any, data: st.DataObject) -> None:
    places = list(_places(body))
    for container, name in data.draw(st.lists(st.sampled_from(places), max_size=3, unique_by=id)):
        container[name] = data.draw(anything)
    without_fault(json.dumps(body).encode())


@steady
@given(bodies, st.integers(0), st.binary(max_size=3))
def test_no_damaged_bytes_are_a_fault(body: Any, at: int, damage: bytes) -> None:
    written = f.wire(body)
    cut = at % len(written)
    without_fault(written[:cut] + damage + written[cut + len(damage) :])


@steady
@given(bodies)
def test_no_item_is_lost(body: Any) -> None:
    assert len(without_fault(f.wire(body)).events) >= count_items(body)


def without_entry_times(parsed: ParsedBody) -> list[Any]:
    """The events as they are whenever Meta sends them: the time of an entry is that of its sending."""
    bare = []
    for event in parsed.events:
        payload = json.loads(event.payload) | {"entry_time": None}
        item = payload["item"]
        dated = isinstance(item, dict) and _seconds(item.get("timestamp")) is not None
        changes: dict[str, Any] = {} if dated else {"occurred_at": None, "status": None}
        bare.append(replace(event, entry_time=None, payload=json.dumps(payload, sort_keys=True), **changes))
    return bare


@steady
@given(bodies, st.randoms(use_true_random=False))
def test_the_writing_of_a_body_changes_no_event(body: Any, chance: random.Random) -> None:
    one, other = without_fault(f.wire(body)), without_fault(rewritten(body, chance))
    if one.unreadable:  # it holds no item: known by its bytes
        assert one.unreadable == other.unreadable
    else:
        assert without_entry_times(one) == without_entry_times(other)


@steady
@given(bodies)
def test_only_equal_content_shares_a_key(body: Any) -> None:
    by_key: dict[str, str] = {}
    for event in without_fault(f.wire(body)).events:
        hashed = event.key.rpartition(":")[2].startswith("~")
        item = json.dumps(json.loads(event.payload)["item"], sort_keys=True)
        if hashed:
            assert by_key.setdefault(event.key, item) == item


@pytest.mark.skipif(not CORPUS.is_dir(), reason="no corpus of bodies here; NEVERDROP_CORPUS names one")
@pytest.mark.parametrize("path", [pytest.param(CORPUS, id="corpus")])
def test_every_body_of_the_corpus_is_split_without_losing_an_item(path: Path) -> None:
    files = [*path.rglob("*.json"), *path.rglob("*.bin")]
    bodies_in = {file: json.loads(file.read_bytes()) for file in files if file.name != "MANIFEST.json"}
    assert bodies_in
    chance = random.Random(1)
    for file, body in bodies_in.items():
        parsed = without_fault(file.read_bytes())
        assert parsed.unreadable is None, file
        assert len(parsed.events) == count_items(body), file
        again = without_fault(rewritten(body, chance))
        assert without_entry_times(parsed) == without_entry_times(again), file
