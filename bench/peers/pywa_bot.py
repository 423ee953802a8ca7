"""pywa with its own server: it answers first, then runs the handler in the web process. There is no queue.

It has no queue to fill and no claim to take: what it was given and had not handled is gone with its process.
"""

import os
import time

from pywa import WhatsApp, types

from bench.peers import items

bot = WhatsApp(
    phone_id="318400700200200",
    verify_token="bench",  # noqa: S106
    app_secret=os.environ["WHATSAPP_APP_SECRET"],
    webhook_endpoint="/webhook",
)


@bot.on_message  # type: ignore[untyped-decorator]
def message(_: WhatsApp, found: types.Message) -> None:
    items.insert(found.id, "message", {"text": found.text}, time.time())


@bot.on_message_status  # type: ignore[untyped-decorator]
def status(_: WhatsApp, found: types.MessageStatus) -> None:
    items.insert(f"{found.id}:{found.status}", "status", {"status": str(found.status)}, time.time())
