"""Masking takes the values and leaves the words, in the same way for log and command line, and in linear time."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from app.views.masked import masked_conversation, masked_text
from config.masking import MAX_TEXT, describe, hiding, mask_error, mask_field, mask_text

MEGABYTE = 2**20
SECONDS = 2.0  # for a megabyte on a busy machine; what was quadratic took 47 s for a sixteenth of it
PHONE = "15550002222"
PATTERNS = (
    "\\'", "'", '"', "'\\", '"\\', "b'", "1", "1 ", "1-", "+1", "wamid.", "US.", "US.ENT.", "US.aaaa", "A", "=(",
    "[parameters: ", "DETAIL:  Key (a)=(", "DETAIL:  \n", "0.", "0x1", "2020-01-01 ", "0123abcd-", "((((", "1      ",
    "'\n", "…1", "a://", "a://b@", "a.", "Command # 1 (SET ", "LINE 1: ", "with url: /", "KeyError: '", "A: ",
)  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_megabyte_is_masked_in_no_time(pattern: str) -> None:
    text = pattern * (MEGABYTE // len(pattern))
    payload = json.dumps({"text": {"body": text[:MEGABYTE]}, "other": [pattern * n for n in range(1, 300)]})
    began = time.process_time()
    mask_error(text)
    with hiding(payload):
        mask_error(text)
    assert time.process_time() - began < SECONDS


def test_a_long_text_is_cut_before_it_is_masked() -> None:
    assert len(mask_error("word " * MEGABYTE)) <= MAX_TEXT + 1
    for filler in range(40):  # the cut may stand in the middle of a number
        assert "1555000" not in mask_text("x" * (MAX_TEXT - filler) + PHONE + " and more")


# Words stay


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'text'",
        "AttributeError: 'NoneType' object has no attribute 'strip'",
        "TypeError: greet() missing 1 required positional argument: 'ctx'",
        'UndefinedTable: relation "notes" does not exist',
        'NotNullViolation: null value in column "name" of relation "notes" violates not-null constraint',
        'UniqueViolation: duplicate key value violates unique constraint "notes_pkey"',
        "ConnectTimeout: HTTPSConnectionPool(host='graph.facebook.com', port=443)",
    ],
)
def test_what_names_code_stays(text: str) -> None:
    assert mask_error(text) == text
    assert masked_text(text) == text


def test_a_url_keeps_its_host_and_nothing_behind_it() -> None:
    error = (
        "Client error '401' for url 'https://me:pw@graph.facebook.com:443/v20/1/messages?access_token=EAAB'"
    )
    assert mask_error(error) == "Client error '…' for url 'https://graph.facebook.com:443/…'"
    assert (
        mask_text("see https://hooks.slack.com/services/T0/B0/x now") == "see https://hooks.slack.com/… now"
    )
    assert mask_error("exceeded with url: /v20/Ada?x=1 (caused)") == "exceeded with url: /… (caused)"


# Values go


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("KeyError: 'Maria'", "KeyError: '…'"),
        ("ValueError: bad 'Ada", "ValueError: bad '…"),
        (
            "UniqueViolation: duplicate key\nDETAIL:  Key (name)=(Ada (x) Love\nlace) already exists.\n",
            "UniqueViolation: duplicate key\nDETAIL:  Key (name)=(…) already exists.\n",
        ),
        (
            "CheckViolation: new row\nDETAIL:  Failing row contains (1, Ada, (2) Lovelace).",
            "CheckViolation: new row\nDETAIL:  Failing row contains (…).",
        ),
        (
            "X: y\n[SQL: INSERT INTO n VALUES (%(n)s)]\n[parameters: {'n': 'Ada (x) Lovelace', 'm': 5}]\n(Background)",
            "X: y\n[SQL: INSERT INTO n VALUES (%(n)s)]\n[parameters: …]\n(Background)",
        ),
        ("syntax error\nLINE 1: SELECT E'Ada\\'s' FROM n\n   ^", "syntax error\nLINE 1: …\n   ^"),
        (
            "CONTEXT:  JSON data, line 1: {\"name\": Ada",
            "CONTEXT:  JSON data, line 1: …",
        ),
        (
            'ResponseError: Command # 1 (HSET journal 1 {"body":\n "Ada"}) of pipeline caused error: OOM command',
            "ResponseError: Command # 1 (HSET …) of pipeline caused error: OOM command",
        ),
    ],
)  # fmt: skip
def test_what_is_a_value_goes(text: str, masked: str) -> None:
    assert mask_error(text) == masked


def test_a_unicode_error_names_no_text() -> None:
    with pytest.raises(UnicodeEncodeError) as raised:
        "Adä Lovelace".encode("ascii")
    assert "Lovelace" not in mask_error(repr(raised.value))
    assert "ä" not in describe(raised.value)


def test_an_error_whose_text_cannot_be_read_is_still_described() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    assert describe(Broken()) == "Broken: (its text cannot be read)"


def test_a_part_of_a_text_is_hidden_too() -> None:
    text = "".join(f"sentence number {n} about my order; " for n in range(3000))
    with hiding(json.dumps({"text": {"body": text}})):
        for start, end in ((0, len(text)), (0, 100), (7, 300), (1000, 1200)):
            assert "order" not in mask_text(f"cannot read {text[start:end].upper().lower()}!")[12 + 15 :]


# Lines of the log and of the command line can be joined


def test_log_and_command_line_mask_alike() -> None:
    for error in (KeyError("text"), KeyError("Maria"), AttributeError("no 'x'"), ValueError(f"bad {PHONE}")):
        assert describe(error) == masked_text(f"{type(error).__name__}: {error}")
    for conversation in (f"2/{PHONE}", "2/US.13491208655302741918", "2/Y2hhdA=="):
        assert mask_field("conversation", conversation) == masked_conversation(conversation)
    assert mask_field("key", "message:wamid.ABC") == masked_text("message:wamid.ABC")


# Texts of the payload, however they are quoted


PAYLOAD = json.dumps(
    {"contacts": [{"profile": {"name": "Zoe Quastenflosse"}}], "text": {"body": "where is my green parcel"}}
)


@pytest.mark.parametrize(
    ("quoted", "masked"),
    [
        ("no room for\nwhere\nis\nmy\ngreen\nparcel", "no room for\n…"),
        ("no account for Zoe", "no account for …"),
        ("no account for quastenflosse!", "no account for …!"),
        ("no parcels", "no parcels"),
    ],
)
def test_a_text_is_known_broken_into_lines_and_a_name_by_each_word(quoted: str, masked: str) -> None:
    with hiding(PAYLOAD):
        assert mask_text(quoted) == masked


def test_a_thread_that_a_handler_started_masks_the_same() -> None:
    with hiding(PAYLOAD), ThreadPoolExecutor(1) as pool:
        assert pool.submit(mask_text, "so: where is my green parcel").result() == "so: …"
