"""Every concept has one word: the glossary has it once, and what it replaced is used no more."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TREES = ("app", "config", "tasks", "tests", "bench")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
ENTRY = re.compile(r"^\*\*(.+)\*\*\n: (.+)\n\n  Example: (.+)$", re.MULTILINE)
WORDS = (
    "alert", "alias", "attempt", "backlog", "beat", "breaker", "burst", "callback data", "claim",
    "conversation", "dead letter", "delivery", "dialog", "discard", "duplicate", "erasure", "event",
    "expectation", "fallback store", "fencing token", "final", "forwarder", "group", "handler", "heartbeat", "held",
    "job", "journal", "kind", "lane", "late", "lease", "outbox", "outcome", "participant", "paused", "place",
    "primary store", "purge", "quarantine", "replay", "reply", "retry", "sample", "send", "sender", "settle",
    "step", "subject", "sweep", "target", "type", "unknown", "wake", "watermark",
)  # fmt: skip
MAX_ENTRY_CHARACTERS = 260

# What the docs' prose does not say any more → what it says
RETIRED_IN_DOCS = {
    r"doors?": "primary store, fallback store",
    r"told|untold": "sent, unsent",
    r"heard|hears": "synced",
    r"mends?|mended": "edit, fix",
    r"overtaken": "stale attempt",
    r"fences?": "fencing token",
    r"warden": "watchdog",
    r"keeper": "lease renewer",
    r"forgets?|forgotten": "remove, reset, invalidate, lose",
    r"forsakes?|forsaken": "disable restart",
    r"story|stories": "timeline",
    r"made-up": "sample",
}
# Words of a class's, a function's or a constant's name that are used no more → what they became
RETIRED_IN_NAMES = {
    "door": "stored_in, primary store, fallback store",
    "hear": "sync_clock",
    "heard": "clock_synced",
    "told": "future, waiters, sent, text_item",
    "untold": "unsent",
    "whose": "participant",
    "party": "participant",
    "noun": "key_prefix",
    "foreign": "object_digest",
    "odd": "undocumented",
    "overtaken": "stale_attempt",
    "keeper": "lease_renewer",
    "hint": "sync_redis",
    "decided": "action_result",
    "mended": "validate_payload",
    "unchanging": "base_environ",
    "forsake": "disable_restart",
    "warden": "parent_watchdog",
    "performance": "demo_run",
    "suspect": "pending",
    "nobody": "no_participant",
    "least": "min",
    "fewest": "min",
    "longest": "max",
    "horizon": "cutoff",
    "story": "timeline",
    "announce": "enqueue_dead_letter, log_change",
    "woken": "wakes, receive_wakes",
    "forget": "remove_from_journal, reset, invalidate",
    "pace": "batch_sizer, retry_rate",
    "mend": "edit, fix",
    "tell": "resolve, print, send",
    "our": "neverdrop",
}
# Names that keep such a word, each with its reason
KEPT: dict[str, str] = {}


def name_words(name: str) -> set[str]:
    """Return the words of ``FirstDoor``, ``first_door`` or ``FIRST_DOOR`` in lower case."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


@cache
def defined_names() -> list[tuple[Path, str]]:
    """Return (file, name) of each class, function and constant that is no test."""
    names = []
    for tree in TREES:
        for path in sorted((ROOT / tree).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    names.append((path.relative_to(ROOT), node.name))
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id.isupper():
                    names.append((path.relative_to(ROOT), node.id))
    return [(path, name) for path, name in names if not name.lower().startswith("test_")]


def prose(page: Path) -> str:
    """Return a page without its code, whose names may be columns or log events of running installations."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"`[^`\n]*`", "", text)


def test_every_word_of_the_glossary_is_there_once_with_a_sentence_and_an_example() -> None:
    assert sorted(word.lower() for word, _, _ in ENTRY.findall(GLOSSARY)) == sorted(WORDS)
    assert len(re.findall(r"^\*\*", GLOSSARY, re.MULTILINE)) == len(WORDS)


def test_an_entry_of_the_glossary_is_short() -> None:
    assert [word for word, meaning, _ in ENTRY.findall(GLOSSARY) if len(meaning) > MAX_ENTRY_CHARACTERS] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_docs_use_no_word_that_was_replaced(page: Path) -> None:
    uses = [
        f"{match[0]!r}: say {instead}"
        for retired, instead in RETIRED_IN_DOCS.items()
        for match in re.finditer(rf"\b(?:{retired})\b", prose(page), re.IGNORECASE)
    ]
    assert uses == []


@pytest.mark.parametrize("retired", RETIRED_IN_NAMES)
def test_no_name_in_the_code_uses_a_word_that_was_replaced(retired: str) -> None:
    uses = [
        f"{path}: {name}, say {RETIRED_IN_NAMES[retired]}"
        for path, name in defined_names()
        if retired in name_words(name) and f"{path.as_posix()}:{name}" not in KEPT
    ]
    assert uses == []


def test_every_name_that_keeps_such_a_word_is_still_there() -> None:
    assert set(KEPT) <= {f"{path.as_posix()}:{name}" for path, name in defined_names()}
