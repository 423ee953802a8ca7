"""Any bytes as a body: never an exception, every event storable, and the same events for equivalent bytes.

    pip install atheris && python -m tests.fuzz -max_total_time=120 -max_len=4096

Options are libFuzzer's. What it finds becomes an example of ``tests/unit/payload/test_properties.py``, which asserts
the same without atheris.
"""

import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["app"]):
    from app.payload.parse import ParsedBody, parse
    from app.web.signature import sign, verify

from tests.helpers import factories as f

SECRET = b"fuzz"
TEXT_LIMIT = 500


def check(body: bytes) -> None:
    """One body through the receive and parse path."""
    assert verify(body, sign(body, SECRET), (SECRET,))
    assert not verify(body + b" ", sign(body, SECRET), (SECRET,))
    parsed = parse(body)
    _storable(parsed)
    assert parse(body) == parsed
    with suppress(ValueError, RecursionError):
        content = json.loads(body)
        again = json.dumps(content, sort_keys=True, indent=1).encode()
        if parsed.unreadable is None:
            assert [event.key for event in parse(again).events] == [event.key for event in parsed.events]


def _storable(parsed: ParsedBody) -> None:
    assert parsed.events
    assert "while splitting" not in (parsed.unreadable or "")
    for index, event in enumerate(parsed.events):
        assert event.index == index
        json.loads(event.payload)
        assert event.payload.isascii()
        for text in (event.type, event.key, *event.aliases):
            assert 0 < len(text) <= TEXT_LIMIT
            assert "\x00" not in text
            text.encode("utf-8")


def seeds(directory: Path) -> None:
    """Bodies to begin with: one of each kind."""
    items = {
        "text": f.messages(f.text_message()),
        "status": f.statuses(f.status(), contacts=[f.contact()]),
        "group": f.statuses(f.group_status("read", 2)),
        "call": f.calls(f.call()),
        "echo": f.echoes(f.echo()),
        "standby": f.standby(messages=[f.text_message()]),
        "history": f.history(f.history_thread(1, f.text_message())),
        "preference": f.user_preferences(f.preference()),
        "account": f.account_update(),
    }
    for name, change in items.items():
        (directory / name).write_bytes(f.wire(f.body(change, time=f.NOW)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as corpus:
        seeds(Path(corpus))
        atheris.Setup([*sys.argv, corpus], check)
        atheris.Fuzz()
