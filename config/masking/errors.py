"""Mask the values in the texts of errors, and keep the words that a developer needs. Pure: no I/O.

Python, Postgres and Redis put the value that was wrong in quotes, into a DETAIL line or behind "parameters". What names
code stays: an attribute, a lower-case key of a KeyError, a column or relation, the host of a URL. The log and the
command line get the same text for the same error, since only its words decide.
"""

import re

from config.masking.hidden import MASK
from config.masking.shapes import CUT_TAIL, MAX_TEXT, mask_text

# Classes whose texts quote code, not values
CODE_ERRORS = frozenset(
    """
    AttributeError ImportError IndentationError ModuleNotFoundError NameError SyntaxError TabError TypeError
    UnboundLocalError
    """.split()  # noqa: SIM905  (words read better than a column of quotes)
)
CLASS = re.compile(r"(?:[a-z_][\w.]*\.)?(?P<name>[A-Z]\w*): ")
IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,62}(?:\.[a-z_][a-z0-9_]{0,62})?")
# A quote that is not closed in its line hides the rest of it: the text may have been cut there
QUOTED = re.compile(
    r"""(?:(?<![^\W_])|(?<=\b[bBuUrREe]))
    (?:(?<!File\ )"(?P<double>(?:\\.|[^"\\\n])*)\\?"?
     | '(?P<single>(?:\\.|[^'\\\n])*)\\?'?)""",
    re.VERBOSE,
)
# What may stand before a quoted name that is no value, in Postgres's and Python's own texts
NAMED = re.compile(
    r"(?:relation|column|constraint|index|table|function|type|schema|database|role|sequence|trigger|parameter)\ $"
    r"|\bhost=$",
    re.VERBOSE,
)
NAMED_LOOK_BACK = 16  # characters, more than the longest of these
HOST = re.compile(r"[A-Za-z0-9.-]{1,253}")
QUOTED_URL = re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s]*")
PARAMETERS = re.compile(r"\[parameters: [^\n]*")
STATEMENT_LINE = re.compile(r"^(LINE \d{1,9}: |QUERY:  |.*?JSON data, line \d{1,9}: )[^\n]*", re.MULTILINE)
DETAIL = re.compile(
    r"^DETAIL:  (?P<body>.*?)(?=\n(?:HINT|CONTEXT|QUERY|LINE|\[SQL)|\Z)", re.MULTILINE | re.DOTALL
)
DETAIL_KEY = re.compile(r'Key \([\w", ]{1,500}\)=\(')
REDIS_COMMAND = re.compile(r"^(?P<head>.{0,80}?Command # \d{1,9} \(\w{1,32})", re.MULTILINE)
REDIS_TAIL = ") of pipeline caused error: "


def mask_error(value: str, class_name: str = "") -> str:
    """Mask an error's text or a traceback; its class is ``class_name``, or stands before each line's text."""
    cut = value[:MAX_TEXT]
    masked = "".join(_mask_lines(_mask_stores(cut), class_name))
    if len(value) > MAX_TEXT:
        masked = f"{masked[:-CUT_TAIL]}{MASK}"
    return mask_text(masked)


def describe(error: BaseException) -> str:
    """Return an exception as "Class: text", masked; a database's own error stands for SQLAlchemy's around it."""
    cause = getattr(error, "orig", None)
    cause = cause if isinstance(cause, BaseException) else error
    name = type(cause).__name__
    try:
        text = str(cause)
    except Exception:  # a fault in the exception's own class
        text = "(its text cannot be read)"
    return f"{name}: {mask_error(text, name)}" if text else name


def _mask_stores(value: str) -> str:
    """Mask what Postgres, SQLAlchemy and Redis quote without quotes."""
    value = PARAMETERS.sub(f"[parameters: {MASK}]", value)
    value = STATEMENT_LINE.sub(rf"\g<1>{MASK}", value)
    value = DETAIL.sub(lambda match: f"DETAIL:  {_mask_detail(match['body'])}", value)
    command = REDIS_COMMAND.search(value)
    if command:
        tail = value.rfind(REDIS_TAIL)
        value = f"{value[: command.end()]} {MASK}{value[tail:] if tail >= 0 else ''}"
    return value


def _mask_detail(body: str) -> str:
    """Return ``Key (name)=(…) already exists.`` or ``Failing row contains (…).``; other details keep their words."""
    key = DETAIL_KEY.match(body)
    if key:
        return f"{key[0]}{MASK}{body[body.rfind(')') :]}" if ")" in body[key.end() :] else f"{key[0]}{MASK}"
    head, contains, _ = body.partition("contains (")
    return f"{head}{contains}{MASK})." if contains else body


def _mask_lines(value: str, class_name: str) -> list[str]:
    """Mask what is quoted, line by line: each may begin with the class that says what its quotes hold."""
    lines = []
    for line in value.splitlines(keepends=True):
        match = CLASS.match(line)
        class_name = match["name"] if match else class_name
        if class_name in CODE_ERRORS:
            lines.append(line)
        else:
            lines.append(QUOTED.sub(_mask_key_error if class_name == "KeyError" else _mask_quoted, line))
    return lines


def _mask_key_error(match: re.Match[str]) -> str:
    """Keep a key that is a lower-case name, as those of a payload are."""
    return match[0] if IDENTIFIER.fullmatch(_content(match)) else _mask_quoted(match)


def _mask_quoted(match: re.Match[str]) -> str:
    text, content = match[0], _content(match)
    before = match.string[max(0, match.start() - NAMED_LOOK_BACK) : match.start()]
    if QUOTED_URL.fullmatch(content):
        return text  # it keeps its host: mask_text masks the rest
    if NAMED.search(before) and (IDENTIFIER.fullmatch(content) or HOST.fullmatch(content)):
        return text
    closed = len(text) > 1 and text[-1] == text[0]
    return f"{text[0]}{MASK}{text[0] if closed else ''}"


def _content(match: re.Match[str]) -> str:
    return match["double"] or match["single"] or ""
