"""The process ``forwarder``: it does not start with a fault, ends after what is under way, and says how targets go."""

import asyncio
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from app.targets import process
from app.targets.answers import TargetAnswer
from app.targets.load import Loaded
from app.targets.rules import rules_of
from app.watch import target_health
from config.settings import Settings, load
from tests.helpers.core import text_body
from tests.helpers.targets import SECRET, target
from tests.integration.targets.conftest import FakeTarget, Targets

PRODUCTION = {
    "neverdrop_env": "production", "whatsapp_app_secret": "s", "whatsapp_verify_token": "t",
    "redis_url": "redis://10.0.0.5:6380/0", "database_url": "postgresql://10.0.0.6:5433/neverdrop",
}  # fmt: skip


def refused(url: str, **settings: object) -> str:
    loaded = Loaded({"crm": target(url)}, places={"crm": "targets.toml:3"})
    return "\n".join(asyncio.run(process.refused_addresses(loaded, rules_of(load(**settings)))))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://localhost:9000/", "set TARGETS_ALLOW_PRIVATE=true"),
        ("http://10.0.0.7/", "set TARGETS_ALLOW_PRIVATE=true"),
    ],
)
def test_a_private_address_does_not_start_in_production(url: str, why: str) -> None:
    assert re.fullmatch(rf"targets.toml:3: url is refused: .*{why}.*", refused(url, **PRODUCTION))
    assert refused(url, **PRODUCTION, targets_allow_private=True) == ""


@pytest.mark.parametrize(
    "url", ["http://localhost:8000/webhook", "http://10.0.0.5:6380/", "http://10.0.0.6:5433/"]
)
def test_neverdrop_itself_is_no_target_whatever_is_allowed(url: str) -> None:
    assert "is Neverdrop itself" in refused(url, **PRODUCTION, targets_allow_private=True)


def test_a_name_that_does_not_resolve_does_not_keep_it_from_starting() -> None:
    assert refused("http://nowhere.invalid/", **PRODUCTION) == ""


def test_a_wrong_target_ends_the_start_with_a_sentence(env: Callable[..., Settings]) -> None:
    env(FORWARD_URL="http://169.254.169.254/", FORWARD_SECRET="none")
    with pytest.raises(
        SystemExit, match=r"neverdrop cannot start: FORWARD_URL: url resolves to a link-local"
    ):
        process.main()


def test_addresses_and_all_else_that_is_wrong_are_said_at_once(
    env: Callable[..., Settings], tmp_path: Path
) -> None:
    file = tmp_path / "targets.toml"
    sound = f'[[target]]\nname = "a"\nurl = "http://localhost:8000/"\nsecret = "{SECRET}"\n'
    file.write_text(f'{sound}[[target]]\nname = "b"\nurl = "ftp://b"\nsecret = "none"\n', encoding="utf-8")
    env(TARGETS=str(file))
    with pytest.raises(SystemExit) as raised:
        process.main()
    words = str(raised.value)
    for place, why in ((3, "is Neverdrop itself"), (7, "must begin with https://"), (8, "is no secret")):
        assert re.search(rf"targets\.toml:{place}: .*{why}", words), words


def test_what_is_under_way_is_finished_before_it_ends(
    targets: Targets, monkeypatch: pytest.MonkeyPatch
) -> None:
    crm = targets.add()
    targets.core.ingest(text_body("a"))

    async def stopped_in_the_middle() -> None:
        stop = asyncio.Event()
        forwarder = targets.forwarder()

        async def slow(headers: Mapping[str, str], body: str) -> TargetAnswer:
            stop.set()
            await asyncio.sleep(0.01)
            return await FakeTarget.post(crm, headers, body)

        monkeypatch.setattr(forwarder.clients["crm"], "post", slow)
        await forwarder.run(stop, 10)

    asyncio.run(stopped_in_the_middle())
    assert targets.core.states() == {"done": 1}


def test_how_targets_go_is_published_and_withdrawn(targets: Targets) -> None:
    targets.add()
    forwarder = targets.run()
    asyncio.run(process._publish(forwarder))
    assert target_health.read(targets.core.redis)["crm"].breaker == "closed"
    process._leave(forwarder, "forwarder@host|targets")
    assert target_health.read(targets.core.redis) == {}


def test_what_a_payload_function_makes_is_posted_and_its_faults_are_attempts(targets: Targets) -> None:
    crm = targets.add()

    def for_crm(event: object, body: dict[str, object]) -> object:
        text = body["data"]["text"]  # type: ignore[index]
        if text == "b":
            raise ValueError("no b")
        return {"data": {"text": text, "id": 1}, "mine": True} if text == "a" else None

    targets.functions["crm"] = for_crm
    targets.core.ingest(text_body("a"), text_body("b", sender=2), text_body("c", sender=3))
    targets.run()
    assert [content["mine"] for _, content in crm.seen] == [True]
    assert targets.core.event("b").error == "its payload function: ValueError: no b"
    assert (
        targets.core.event("c").error
        == "its payload function: TypeError: returned a NoneType, not a dict or list"
    )
