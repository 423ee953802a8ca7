"""The log lines: one JSON object each in production, coloured text at a terminal, masked by default.

``log = get_logger(__name__)``, then ``log.info("event.done", event_id=7)``: the event is a constant name,
values are fields. What other packages say through the standard library's ``logging`` comes out in the same form.
Lines go to standard error, each in one write without a lock: a fork in the middle of one leaves none locked.
"""

import json
import logging
import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from config.control_characters import printable
from config.masking import (
    MAX_TEXT,
    describe,
    hiding,
    mask_error,
    mask_field,
    mask_fields,
    mask_id,
    mask_key,
    mask_name,
    mask_phone,
    mask_text,
)
from config.settings import Settings

__all__ = [
    "configure", "describe", "get_logger", "hiding", "mask_error", "mask_field",
    "mask_id", "mask_key", "mask_name", "mask_phone", "mask_text",
]  # fmt: skip

STDERR = 2
CHAIN_LIMIT = 20  # exceptions shown of one chain of causes
# Packages that tell at INFO what our own lines tell already, or (httpx) a URL that is a secret.
QUIET = (
    "celery.app.trace", "celery.worker.strategy", "celery.beat", "httpx", "httpcore", "kombu", "urllib3",
    "alembic",
)  # fmt: skip

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING}  # others are worse

Fields = MutableMapping[str, Any]


class _Output:
    """How the process writes its lines; one object, so that earlier loggers follow ``configure`` too."""

    def __init__(self) -> None:
        self.process = "python"
        self.masked = True
        self.least = logging.NOTSET
        self.render: Callable[[Fields], bytes] = _json

    def line(self, level: str, name: str, fields: Fields) -> bytes:
        event = str(fields.pop("event", ""))
        if self.masked and " " in event:  # a sentence, where a constant name belongs
            event = mask_error(event)
        trace = _trace(fields.pop("exc_info", None), masked=self.masked)
        shown: Fields = {
            "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": level,
            "event": event,
            "logger": name,
            "process": self.process,
            "pid": os.getpid(),
        }
        for field, value in (mask_fields(fields) if self.masked else fields).items():
            shown[f"{field}_" if field in shown else field] = value
        if trace:
            shown["exception"] = trace
        return self.render(shown)


def _json(fields: Fields) -> bytes:
    try:
        return orjson.dumps(fields, default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a lone surrogate, or a number of more than 64 bits
        return json.dumps(fields, default=str, skipkeys=True).encode() + b"\n"


def _console(*, colors: bool) -> Callable[[Fields], bytes]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=colors, force_colors=colors, exception_formatter=structlog.dev.plain_traceback, pad_event_to=24
    )

    def render(fields: Fields) -> bytes:
        fields["timestamp"] = fields["timestamp"][11:-1]  # the day is known to who sits before it
        del fields["pid"], fields["logger"]
        for name, value in fields.items():  # a terminal obeys them
            fields[name] = printable(value if isinstance(value, str) else repr(value))
        return renderer(None, "", fields).encode("utf-8", "backslashreplace") + b"\n"

    return render


def _trace(exc_info: Any, *, masked: bool) -> str | None:
    """The traceback of what a logger was given as ``exc_info``: True, an exception, or its triple."""
    if not exc_info:
        return None
    if isinstance(exc_info, tuple):
        exc_info = exc_info[1]
    error = exc_info if isinstance(exc_info, BaseException) else sys.exception()
    return format_exception(error, masked=masked) if error is not None else None


def format_exception(error: BaseException, *, masked: bool = True) -> str:
    """A traceback without local variables; what the exceptions themselves say is masked."""
    return "".join(_traceback(error, masked, CHAIN_LIMIT)).rstrip("\n")


def _traceback(error: BaseException, masked: bool, limit: int) -> Iterator[str]:
    earlier = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if earlier is not None and limit:
        yield from _traceback(earlier, masked, limit - 1)
        yield "\nand from it:\n\n" if error.__cause__ else "\nand while that was handled:\n\n"
    if error.__traceback__ is not None:
        yield "Traceback (most recent call last):\n"
        frames = "".join(traceback.format_tb(error.__traceback__))
        yield mask_text(_last_lines(frames)) if masked else frames
    yield (describe(error) if masked else "".join(traceback.format_exception_only(error)).rstrip("\n")) + "\n"
    for note in getattr(error, "__notes__", ()) if masked else ():
        yield mask_error(str(note)) + "\n"
    if isinstance(error, BaseExceptionGroup) and limit:
        for inner in error.exceptions:
            yield from _traceback(inner, masked, limit - 1)


def _last_lines(frames: str) -> str:
    """Return the end of a long traceback, from the beginning of a line on: what failed stands last."""
    if len(frames) <= MAX_TEXT:
        return frames
    return frames[-MAX_TEXT:].partition("\n")[2]


_output = _Output()


def _write(line: bytes) -> None:
    """A log line that cannot be written is lost; the work that it speaks of is not."""
    try:
        while line:
            line = line[os.write(STDERR, line) :]
    except OSError:
        pass


class _Writer:
    """What structlog hands a finished line to."""

    debug = info = warning = error = critical = exception = msg = staticmethod(_write)


def _finish(_logger: Any, level: str, fields: Fields) -> bytes:
    if LEVELS.get(level, logging.ERROR) < _output.least:
        raise structlog.DropEvent
    return _output.line("error" if level == "exception" else level, fields.pop("logger_name", ""), fields)


class StandardLines(logging.Handler):
    """The lines of packages that log through the standard library."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            fields: Fields = {"event": _message(record), "exc_info": record.exc_info}
            _write(_output.line(record.levelname.lower(), record.name, fields))
        except Exception:
            self.handleError(record)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # its arguments do not fit its format
        return str(record.msg)


def get_logger(name: str) -> Any:
    """A logger: ``log.info("event.done", event_id=7)``; ``name`` is the module's."""
    return structlog.get_logger(logger_name=name)


def configure(settings: Settings, process: str) -> None:
    """Say how this process (web, ingest, worker ...) logs; may be called again, also after a fork."""
    _output.process = process
    _output.least = logging.NOTSET
    _output.masked = not settings.log_personal_data
    _output.render = _console(colors=_colors()) if settings.log_format == "console" else _json
    root = logging.getLogger()
    root.handlers = [h for h in root.handlers if type(h) not in (logging.StreamHandler, StandardLines)]
    root.addHandler(StandardLines())
    root.setLevel(logging.INFO)
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger) and any(
            type(h) is logging.StreamHandler for h in logger.handlers
        ):
            logger.handlers, logger.propagate = [], True
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    sys.excepthook = _crashed
    threading.excepthook = _thread_crashed
    sys.unraisablehook = _not_raised


def configure_command() -> None:
    """Let a command's log lines stay out of what it prints: warnings and worse are one short line each."""
    _output.process = "neverdrop"
    _output.least = logging.WARNING
    _output.render = _short_line
    root = logging.getLogger()
    root.addHandler(StandardLines())
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)


def _short_line(fields: Fields) -> bytes:
    said = " ".join(
        f"{name}={printable(str(value))}"
        for name, value in fields.items()
        if name not in ("timestamp", "level", "event", "logger", "process", "pid", "exception")
    )
    line = f"neverdrop: {fields['level']}: {printable(fields['event'])} {said}".rstrip()
    trace = (
        f"\n{fields['exception']}"
        if fields["level"] in ("error", "critical") and "exception" in fields
        else ""
    )
    return f"{line}{trace}\n".encode("utf-8", "backslashreplace")


def _colors() -> bool:
    """As a person asks by FORCE_COLOR or NO_COLOR, else at a terminal."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or sys.stderr.isatty()


def _crashed(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        get_logger(__name__).critical("process.crashed", exc_info=error)


def _thread_crashed(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
        get_logger(__name__).error(
            "thread.crashed", thread_name=getattr(args.thread, "name", None), exc_info=args.exc_value
        )


def _not_raised(args: "sys.UnraisableHookArgs") -> None:
    """Log what Python would print by itself, with the values in it: an exception in a destructor or callback."""
    where = getattr(args.object, "__qualname__", type(args.object).__name__)
    get_logger(__name__).error("error.not_raised", where=where, exc_info=args.exc_value)


# From the first import on, so that nothing is logged unmasked before ``configure``.
structlog.configure(
    processors=[_finish],
    wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    logger_factory=lambda *_: _Writer(),
    cache_logger_on_first_use=True,
)
