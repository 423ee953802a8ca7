"""The token goes to Meta alone, whatever address is named for a file."""

from collections.abc import Callable

import pytest

from app.graph.media import MediaRefused, _check_address
from config.settings import Settings

TAKEN = (
    "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1&hash=a",
    "https://mmg.whatsapp.net/v/1",
    "https://graph.facebook.com/v26.0/1",
)
REFUSED = (
    "http://lookaside.fbsbx.com/1",
    "https://evil.example/1",
    "https://lookaside.fbsbx.com.evil.example/1",
    "https://evilfbsbx.com/1",
    "https://lookaside.fbsbx.com@evil.example/1",
    "https://me:password@lookaside.fbsbx.com/1",
    "https://lookaside.fbsbx.com:8443/1",
    "https://169.254.169.254/latest/meta-data",
    "https://[::1]/1",
    "https://[bad/1",
    "https://lookaside.fbsbx.com:port/1",
    "https:///1",
    "file:///etc/passwd",
    "",
)


@pytest.mark.parametrize("address", TAKEN)
def test_metas_addresses_are_asked(address: str, env: Callable[..., Settings]) -> None:
    env()
    _check_address(address, "1")


@pytest.mark.parametrize("address", REFUSED)
def test_no_other_address_gets_the_token(address: str, env: Callable[..., Settings]) -> None:
    env()
    with pytest.raises(MediaRefused):
        _check_address(address, "1")


def test_a_stand_in_gets_its_own_token_at_its_own_port_alone(env: Callable[..., Settings]) -> None:
    env(WHATSAPP_API_URL="http://127.0.0.1:8001")
    _check_address("http://127.0.0.1:8001/media/1", "1")
    with pytest.raises(MediaRefused):
        _check_address("http://127.0.0.1:8002/media/1", "1")
