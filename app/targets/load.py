"""Read the targets: what FORWARD_URL makes, and the file that TARGETS names. All faults at once, with their lines."""

import importlib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.errors import NeverdropError
from app.handlers import Handler, Registry, RetryPolicy, scopes_of
from app.stores import Priority
from app.targets.target import JOINED_TYPE, Target
from config.settings import Settings

FORWARD = "forward"  # the name of the target that FORWARD_URL makes
TABLE = "target"
HEADER = re.compile(r"\s*\[\[\s*(?P<name>[\w-]+)\s*\]\]")
KEY = re.compile(r"\s*(?:\[\s*target\s*\.\s*)?[\"']?(?P<key>[\w-]+)[\"']?\s*[=\].]")
MAX_ATTEMPTS = 1000  # by far: what ends the attempts is MAX_DAYS

PayloadFunction = Callable[..., Any]


class TargetsError(NeverdropError):
    """FORWARD_URL or TARGETS does not add up; the message lists every fault, one a line.

    ``sound``: the targets of which each by itself has none, so that more can be said about them.
    """

    def __init__(self, message: str, sound: "Loaded | None" = None) -> None:
        super().__init__(message)
        self.sound = sound or Loaded()


@dataclass(frozen=True, slots=True)
class Loaded:
    """The targets of a process, by name, and the functions that make their bodies."""

    targets: Mapping[str, Target] = field(default_factory=dict)
    functions: Mapping[str, PayloadFunction] = field(default_factory=dict)
    places: Mapping[str, str] = field(default_factory=dict)  # where each one's address is written


def load_targets(settings: Settings, registry: Registry) -> Loaded:
    """Read the targets and register each as the handler of its events. TargetsError lists every fault."""
    faults: list[str] = []
    found = [*_forward(settings, faults), *_file(settings, faults)]
    functions = {
        target.name: function for target, where in found if (function := _function(target, where, faults))
    }
    targets: dict[str, Target] = {}
    for target, where in found:
        if target.name in targets:
            faults.append(f"{where('name')}: a second target has the name {target.name!r}: give each its own")
        targets.setdefault(target.name, target)
    faults += _overlaps(found)
    loaded = Loaded(targets, functions, {target.name: where("url") for target, where in found})
    if faults:
        raise TargetsError("\n".join(faults), loaded)
    for target in targets.values():
        _register(target, registry)
    return loaded


Where = Callable[[str], str]  # a key → where it stands
Found = tuple[Target, Where]


def _forward(settings: Settings, faults: list[str]) -> Iterator[Found]:
    if not settings.forward_url:
        if settings.forward_secret:
            faults.append("FORWARD_SECRET is set without FORWARD_URL: set the address too")
        return
    names = {"url": "FORWARD_URL", "secret": "FORWARD_SECRET"}
    secrets = [secret.get_secret_value() for secret in settings.forward_secret]
    values = {"name": FORWARD, "url": settings.forward_url, **({"secret": secrets} if secrets else {})}
    yield from _checked(values, lambda key: names.get(key, "FORWARD_URL"), faults)


def _file(settings: Settings, faults: list[str]) -> Iterator[Found]:
    if not settings.targets:
        return
    path = Path(settings.targets)
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"TARGETS: cannot read {path}: {error}")
        return
    except tomllib.TOMLDecodeError as error:
        faults.append(f"{path}: {error}")
        return
    tables = content.pop(TABLE, [])
    faults += [f"{path}: knows only [[{TABLE}]], not {name!r}" for name in content]
    if not isinstance(tables, list) or not tables:
        faults.append(f"{path}: holds no [[{TABLE}]]")
        return
    lines = key_lines(text)
    for number, table in enumerate(tables):
        known = lines[number] if number < len(lines) else {}
        yield from _checked(_with_files(table, path), _where(path, known), faults)


def _where(path: Path, lines: Mapping[str, int]) -> Where:
    def where(key: str) -> str:
        line = lines.get(key, lines.get(""))
        return f"{path}:{line}" if line else str(path)

    return where


def key_lines(text: str) -> list[dict[str, int]]:
    """Return for each ``[[target]]`` of a file the line of its header, as "", and of each of its keys; from 1."""
    found: list[dict[str, int]] = []
    for number, line in enumerate(text.splitlines(), 1):
        header = HEADER.match(line)
        if header:
            found.append({"": number} if header["name"] == TABLE else {})
        elif found and (key := KEY.match(line)):
            found[-1].setdefault(key["key"], number)
    return found


def _with_files(table: Any, path: Path) -> Any:
    """Return a table in which the files of ``secret_file`` and ``hub_secret_file`` are read."""
    if not isinstance(table, dict):
        return table
    values = dict(table)
    for name in ("secret", "hub_secret"):
        file = values.pop(f"{name}_file", None)
        if file is None or name in values:
            continue
        try:
            text = (path.parent / str(file)).read_text(encoding="utf-8")
            values[name] = text.split() if name == "secret" else text.strip()
        except (OSError, UnicodeDecodeError):
            values[name] = ""  # then it is refused as no secret, at its line
    return values


def _checked(values: Any, where: Where, faults: list[str]) -> Iterator[Found]:
    try:
        yield Target.model_validate(values), where
    except ValidationError as error:
        for fault in error.errors():
            key = str(fault["loc"][0]) if fault["loc"] else ""
            at = where(key) if key == "" or where(key) != where("") else where(f"{key}_file")
            faults.append(f"{at}: {_sentence(key, fault)}")


def _sentence(key: str, fault: Any) -> str:
    message = str(fault["msg"]).removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        return f"{key!r} is no key of a target; there are {', '.join(sorted(Target.model_fields))}"
    if fault["type"] == "missing":
        return f"{key} is missing"
    return f"{key} {message}" if key else message


def _function(target: Target, where: Where, faults: list[str]) -> PayloadFunction | None:
    if target.payload is None:
        return None
    module, _, name = target.payload.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever a module of the team's raises
        faults.append(f"{where('payload')}: payload cannot be imported: {type(error).__name__}: {error}")
        return None
    if not callable(function):
        faults.append(f"{where('payload')}: payload is no function: {target.payload}")
        return None
    return function  # type: ignore[no-any-return]


def _overlaps(found: Sequence[Found]) -> Iterator[str]:
    """Two targets in one lane that want the same events: the lane has one job for an event."""
    taken: dict[tuple[str, str, str], str] = {}
    for target, where in found:
        for kind in target.kinds:
            for type_ in target.types or ("",):
                other = taken.setdefault((target.lane_name, kind, type_), target.name)
                if other != target.name:
                    yield f"{where('lane')}: {target.name!r} and {other!r} want the same events in one lane"
                    return


def _register(target: Target, registry: Registry) -> None:
    handler = Handler(
        name=target.handler_name,
        function=_runs_in_a_forwarder,
        policy=RetryPolicy(max_attempts=MAX_ATTEMPTS),
        on_failure="hold",
        time_limit_seconds=None,
        lane=target.lane_name,
        join_seconds=target.join,
        join_types=(JOINED_TYPE,),
        scopes=scopes_of(target.numbers, target.accounts),
        priority=Priority.NORMAL,  # its lanes are forwarded one after the other, whatever is in them
    )
    for kind in target.kinds:
        for type_ in target.types or (None,):
            selector = (kind, type_, handler.lane)
            if not any(
                known == (selector, handler) for known in registry.items()
            ):  # read once a process, or twice
                registry.add(kind, type_, handler)


def _runs_in_a_forwarder(_event: Any, _ctx: Any) -> None:
    raise NeverdropError("a worker was given the job of a target, which only a forwarder can run")
