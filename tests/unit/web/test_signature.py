"""Nothing unsigned gets in: HMAC-SHA256 over the raw bytes, under any of the secrets."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.web import signature

SECRET = b"app-secret"
OLD_SECRET = b"app-secret-before-the-rotation"
BODY = b'{"object":"whatsapp_business_account","entry":[{"id":"1"}]}'


def header(body: bytes = BODY, secret: bytes = SECRET) -> str:
    return "sha256=" + hmac.new(secret, body, hashlib.sha256).hexdigest()


@given(st.binary())
def test_the_signature_of_any_bytes_is_accepted(body: bytes) -> None:
    assert signature.verify(body, header(body), [SECRET])
    assert signature.sign(body, SECRET) == header(body)


@given(st.binary(min_size=1), st.data())
def test_a_body_with_one_changed_byte_is_refused(body: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(body) - 1))
    changed = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
    assert not signature.verify(changed, header(body), [SECRET])


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_any_of_several_secrets_is_enough(secret: bytes) -> None:
    assert signature.verify(BODY, header(secret=secret), [SECRET, OLD_SECRET])


def test_a_secret_that_is_no_longer_known_is_refused() -> None:
    assert not signature.verify(BODY, header(secret=OLD_SECRET), [SECRET])


def test_without_a_secret_everything_is_refused() -> None:
    assert not signature.verify(BODY, header(secret=b""), [])


def test_every_secret_is_tried_even_when_the_first_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def compare(known: bytes, given: bytes) -> bool:
        tried.append(known)
        return known == given

    monkeypatch.setattr(signature.hmac, "compare_digest", compare)
    assert signature.verify(BODY, header(), [SECRET, OLD_SECRET])
    assert signature.verify_token("one", [b"one", b"two"])
    assert len(tried) == 4


@pytest.mark.parametrize(
    "malformed",
    [
        None,
        "",
        "sha256=",
        "sha256",
        header()[:-1],
        header() + "0",
        header() + "\n",
        header().removeprefix("sha256="),
        header().replace("sha256=", "sha1="),
        header().replace("sha256=", "SHA256="),
        "sha1=" + hmac.new(SECRET, BODY, hashlib.sha1).hexdigest(),
        "sha256=" + "é" * 64,
        "sha256=" + "١" * 64,
        "sha256=" + "\udcff" * 64,
        "sha256=" + " " * 64,
    ],
)
def test_a_malformed_header_is_refused(malformed: str | None) -> None:
    assert not signature.verify(BODY, malformed, [SECRET])


def test_hex_digits_may_be_of_either_case() -> None:
    assert signature.verify(BODY, "sha256=" + header().removeprefix("sha256=").upper(), [SECRET])


@pytest.mark.parametrize("token", ["one", "two", "drei-é"])
def test_any_of_several_verify_tokens_is_enough(token: str) -> None:
    assert signature.verify_token(token, [b"one", b"two", "drei-é".encode()])


@pytest.mark.parametrize("token", [None, "", "onetwo", "One", "one ", "\udcff"])
def test_any_other_verify_token_is_refused(token: str | None) -> None:
    assert not signature.verify_token(token, [b"one", b"two", b""])
