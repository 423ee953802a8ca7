"""Targets from FORWARD_URL and a TOML file: every fault at once, each with its line."""

import re
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from app.handlers import Registry
from app.targets import Loaded, TargetsError, load_targets
from config.settings import load
from tests.helpers.targets import OLDER_SECRET, SECRET

Load = Callable[..., Loaded]


@pytest.fixture
def load_file(tmp_path: Path) -> Load:
    """Load a file of targets, with S for a secret."""

    def loaded(text: str, registry: Registry | None = None, **more: Any) -> Loaded:
        path = tmp_path / "targets.toml"
        path.write_text(dedent(text).lstrip("\n").replace('"S"', f'"{SECRET}"'), encoding="utf-8")
        settings = load(neverdrop_env="development", targets=str(path), **more)
        return load_targets(settings, registry or Registry())

    return loaded


def faults(load_file: Load, text: str, **more: Any) -> list[str]:
    with pytest.raises(TargetsError) as raised:
        load_file(text, **more)
    return [re.sub(r"^/\S*/", "", line) for line in str(raised.value).splitlines()]


def test_an_address_and_a_secret_are_a_target_for_every_event() -> None:
    registry = Registry()
    settings = load(
        neverdrop_env="development",
        forward_url="https://bot.example/in",
        forward_secret=f"{SECRET},{OLDER_SECRET}",
    )
    loaded = load_targets(settings, registry)
    assert loaded.targets["forward"].secrets == (SECRET, OLDER_SECRET)
    for kind in ("message", "status", "other"):
        assert [handler.name for handler in registry.find_all(kind, "any")] == ["target:forward"]


def test_a_target_wants_the_kinds_and_types_that_it_names(load_file: Load) -> None:
    registry = Registry()
    load_file(
        """
        [[target]]
        name = "crm"
        url = "https://crm.example/in"
        secret = "S"
        kinds = ["message"]
        types = ["text", "image"]
        """,
        registry,
    )
    assert [handler.lane for handler in registry.find_all("message", "text")] == ["target:crm"]
    assert registry.find_all("message", "audio") == registry.find_all("status", "text") == []


BROKEN = """
[[target]]
name = "crm"
url = "ftp://crm.example"
secret = "hunter2hunter2"

[[target]]
name = "Bot"
url = "http://169.254.169.254/latest"
secret = "S"
retries = 7
[target.headers]
Host = "elsewhere"
"""
FAULTS = (
    ":3: url must begin with https:// or http:// and name a host",
    ":4: secret is no secret: whsec_ and Base64 of 16 bytes or more",
    ":7: name must be a name of a-z, 0-9, - and _, at most 32, that begins with a letter",
    ":8: url resolves to a link-local address, where metadata services are",
    ":10: 'retries' is no key of a target; there are accounts, concurrency,",
    ":11: headers 'Host' is a header that is written for each request",
)


def test_every_fault_is_said_at_once_with_its_line(load_file: Load) -> None:
    said = sorted(faults(load_file, BROKEN), key=lambda fault: int(fault.split(":")[1]))
    assert len(said) == len(FAULTS)
    for fault, expected in zip(said, FAULTS, strict=True):
        assert fault.startswith(f"targets.toml{expected}")


def test_no_secret_is_said_where_a_fault_is(load_file: Load) -> None:
    text = '[[target]]\nname = "crm"\nurl = "https://me:hunter2@crm.example"\nsecret = "hunter3hunter3"\n'
    assert "hunter" not in " ".join(faults(load_file, text))


TARGET = '[[target]]\nname = "crm"\nurl = "https://a.example"\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("name = \n", "Invalid value (at line 1, column 8)"),
        ("", "holds no [[target]]"),
        ("[[targets]]\nname = 'crm'", "knows only [[target]], not 'targets'"),
        (TARGET, "targets.toml:1: secret is missing"),
        (f'{TARGET}secret_file = "none"', ":4: secret is no secret"),
        (f'{TARGET}secret = "S"\nform = "raw"', "hub_secret belong together"),
        (f'{TARGET}secret = "S"\npayload = "none:f"', ":5: payload cannot be imported"),
        (f'{TARGET}secret = "S"\nrate = 0', ":5: rate "),
        (f'{TARGET}secret = "S"\njoin = 9', ":5: join "),
        (f'{TARGET}secret = "S"\njoin = 2\ntypes = ["image"]', "join is for text messages"),
        (f'{TARGET}secret = "S"\njoin = 2\nkinds = ["status"]', "join is for text messages"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(load_file: Load, text: str, fault: str) -> None:
    assert fault in " ".join(faults(load_file, text))


def test_a_name_is_one_targets_own(load_file: Load) -> None:
    one = '[[target]]\nname = "crm"\nurl = "https://a.example"\nsecret = "S"\n'
    assert faults(load_file, one + one) == [
        "targets.toml:6: a second target has the name 'crm': give each its own"
    ]


def test_two_targets_of_one_lane_share_no_events(load_file: Load) -> None:
    one = '[[target]]\nname = "{}"\nurl = "https://a.example"\nsecret = "S"\nlane = "both"\nkinds = ["{}"]\n'
    assert load_file(one.format("a", "message") + one.format("b", "status")).targets.keys() == {"a", "b"}
    (fault,) = faults(load_file, one.format("a", "message") + one.format("b", "message"))
    assert "'b' and 'a' want the same events in one lane" in fault


def test_a_file_that_is_not_there_is_said() -> None:
    with pytest.raises(TargetsError, match="TARGETS: cannot read"):
        load_targets(load(neverdrop_env="development", targets="/nowhere/targets.toml"), Registry())


def test_a_secret_may_stand_in_a_file_beside(load_file: Load, tmp_path: Path) -> None:
    (tmp_path / "crm.secret").write_text(f"{SECRET}\n{OLDER_SECRET}\n", encoding="utf-8")
    loaded = load_file('[[target]]\nname = "crm"\nurl = "https://a.example"\nsecret_file = "crm.secret"')
    assert loaded.targets["crm"].secrets == (SECRET, OLDER_SECRET)
