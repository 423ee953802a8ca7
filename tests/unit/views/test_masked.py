"""What the command line shows of a person."""

from app.payload.parse import parse
from app.views.masked import masked_conversation, masked_id, masked_payload, masked_text
from tests.helpers import factories as f
from tests.helpers.parsing import CONVERSATION


def test_a_message_id_is_masked_unless_it_is_to_be_revealed() -> None:
    assert masked_id(f.wamid(1)).startswith("wamid.…")
    assert masked_id(f.wamid(1)) != masked_id(f.wamid(2))
    assert masked_id(f.wamid(1), reveal=True) == f.wamid(1)


def test_ids_of_our_own_are_no_secret() -> None:
    ours = ["17", "0197b2ce-1c1b-7e11-8f0a-5d2c5b1f6a01"]
    assert [masked_id(id_) for id_ in ours] == ours


def test_of_a_conversation_the_number_of_the_business_stays() -> None:
    masked = masked_conversation(CONVERSATION)
    assert masked is not None
    assert masked.startswith(f"{f.PHONE_NUMBER_ID}/US.…")
    assert masked_conversation(f"{f.PHONE_NUMBER_ID}/{f.phone(42)}") == f"{f.PHONE_NUMBER_ID}/…42"
    assert masked_conversation(None) is None


def test_an_error_is_shown_without_what_it_quotes() -> None:
    masked = masked_text(f"KeyError: 'Maria' of {f.phone(1)} in {f.wamid(1)}")
    assert masked is not None
    assert masked.startswith("KeyError: '…' of …")
    assert not any(secret in masked for secret in ("Maria", f.phone(1), f.wamid(1)))
    assert masked_text(None) is None


def test_a_payload_keeps_its_shape_and_loses_its_texts() -> None:
    message = f.messages(f.text_message("my card is 4242", number=1), contacts=[f.contact(1)])
    (event,) = parse(f.wire(f.body(message))).events
    masked = masked_payload({"item": {"type": "text", "timestamp": "1", "text": {"body": "my card"}, "n": 5}})
    assert masked == {"item": {"type": "text", "timestamp": "1", "text": {"body": "…"}, "n": 5}}
    assert "4242" not in str(masked_payload(event.payload))
    assert masked_payload([{"a": ["b"]}]) == [{"a": ["…"]}]
