"""A sample event, posted to a target to see whether it understands."""

from datetime import UTC, datetime

from app.handlers import Event
from app.targets import body, signing
from app.targets.answers import TargetAnswer
from app.targets.client import TargetClient
from app.targets.rules import rules_of
from app.targets.target import Target
from config.settings import Settings

SAMPLE = (
    '{"entry":"0","field":"messages","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":'
    '"15550009000","phone_number_id":"0"}},"item":{"from":"15550000001","id":"wamid.TEST","timestamp":"0","type":"text",'
    '"text":{"body":"a test by neverdrop target test"}}}'
)


async def try_target(target: Target, settings: Settings) -> TargetAnswer:
    """Post a sample event and return the answer; a payload function is not called."""
    now = datetime.now(UTC)
    event = Event(0, "message:wamid.TEST", "message", "text", "0/15550000001", now, now, False, SAMPLE)
    text = body.as_json(body.body_of([event], target, 1, replayed=False))
    headers = signing.headers(target, signing.webhook_id(event.id, target.name, None), text, now)
    client = TargetClient(target, rules_of(settings))
    try:
        return await client.post(headers, text)
    finally:
        await client.close()
