"""Run the stand-in: ``python -m app.dev.graph --webhook http://127.0.0.1:8000/webhook``."""

import asyncio
import os

import click

from app.dev.graph.server import PORT, application
from app.dev.graph.stand_in import StandIn
from config.settings import DEVELOPMENT_APP_SECRET


@click.command()
@click.option("--port", default=PORT, show_default=True)
@click.option("--webhook", default="http://127.0.0.1:8000/webhook", show_default=True, help="of Neverdrop")
@click.option("--level", default="HIGH", type=click.Choice(["STANDARD", "HIGH"]), help="of throughput")
def main(port: int, webhook: str, level: str) -> None:
    """Stand in for Meta's Graph API on this machine, with a page on which you chat with the bot."""
    asyncio.run(_serve(port, webhook, level))


async def _serve(port: int, webhook: str, level: str) -> None:
    secret = (os.environ.get("WHATSAPP_APP_SECRET") or DEVELOPMENT_APP_SECRET).partition(",")[0]
    application(StandIn(webhook, secret, level)).listen(port, "127.0.0.1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    main()
