"""A scenario run once for each commit and send in it, dying there."""

import pytest
from sqlalchemy import text

from app.handlers import Context, Event, on_message
from app.stores import engine
from app.testing import Bot

APART = "CREATE TABLE IF NOT EXISTS apart (words text)"


@on_message("text")
def remark(event: Event, ctx: Context) -> None:
    """Note it through the context, or, when asked to, apart from it: which no promise covers."""
    if event.text == "apart":
        with engine().begin() as connection:
            connection.execute(text("INSERT INTO apart VALUES ('noted')"))
    ctx.reply(f"{event.text}?", buttons=["Yes"])


def asked(bot: Bot) -> None:
    bot.user("15550002222", "Ada").sends("tea")
    bot.replied("tea?").buttons("Yes")


@pytest.mark.bot("pipeline")
def test_a_scenario_ends_the_same_whatever_dies_in_it(bot: Bot) -> None:
    bot.user("15550003333").sends("before")
    assert bot.at_every_crash_point(asked) > 15
    bot.replied("before?")
    bot.user("15550003333").sends("after")
    bot.replied("after?")


def test_an_effect_apart_from_the_context_is_found(bot: Bot) -> None:
    def apart(bot: Bot) -> None:
        bot.session.execute(text(APART))
        bot.session.commit()
        bot.user("15550002222").sends("apart")

    with pytest.raises(AssertionError, match="a process that dies") as failed:
        bot.at_every_crash_point(apart)
    assert "+apart: {'words': 'noted'}" in str(failed.value)
