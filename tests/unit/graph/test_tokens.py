"""No access token is in what Graph's answers become, and no control character in what people read of them."""

import asyncio
import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from app.graph import answered_by, ask, client, management
from app.graph.management import GraphRefusal, app_token
from config.settings import Settings, SettingsError

TOKEN, SECRET = "EAAGm0PX4ZCpsBAKZBf", "0123456789abcdef0123456789abcdef"


def quotes_the_token(request: httpx.Request) -> httpx.Response:
    """Answer as Meta does to a token that it cannot read."""
    token = request.headers["Authorization"].removeprefix("Bearer ")
    error = {"code": 190, "message": f"Malformed access token {token}\x1b]0;owned\x07"}
    return httpx.Response(401, json={"error": error})


@pytest.fixture(autouse=True)
def meta(env: Callable[..., Settings]) -> Iterator[None]:
    env(WHATSAPP_ACCESS_TOKEN=TOKEN)
    with answered_by(quotes_the_token):
        yield


def test_a_token_that_meta_quotes_is_left_out_of_why_nothing_was_sent() -> None:
    answer = asyncio.run(client.post("106540352242922", {"type": "text"}))
    assert "(190) Malformed access token ..." in str(answer)
    assert TOKEN not in str(answer)


@pytest.mark.parametrize("token", [TOKEN, app_token("1234567890", SECRET)])
def test_a_token_that_meta_quotes_is_left_out_of_a_refusal(token: str) -> None:
    with pytest.raises(GraphRefusal, match="Malformed access token") as refused:
        management.get("me", token)
    assert TOKEN not in str(refused.value)
    assert SECRET not in str(refused.value)
    assert "\x1b" not in str(refused.value)


def test_what_meta_says_of_an_app_steers_no_terminal() -> None:
    data = {"app_id": "1", "application": "Shop\x1b[2J", "is_valid": True}
    with answered_by(lambda _: httpx.Response(200, content=json.dumps({"data": data}))):
        assert ask(TOKEN, ["secret"]).app_name == "Shop\ufffd[2J"


@pytest.mark.parametrize("token", ["EAA\x01B", "EAA B", "EAAä", "1=EAA\x7fB"])
def test_a_token_that_no_header_can_carry_is_refused_without_being_quoted(
    env: Callable[..., Settings], token: str
) -> None:
    with pytest.raises(SettingsError, match="WHATSAPP_ACCESS_TOKEN") as refused:
        env(WHATSAPP_ACCESS_TOKEN=token)
    assert token not in str(refused.value)
