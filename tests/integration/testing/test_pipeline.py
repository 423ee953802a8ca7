"""The second and third depth of the test kit: the same vocabulary over real stores, and over all processes."""

import pytest
from sqlalchemy import select

from app.testing import Bot, Meta
from tests.helpers import sample_bot
from tests.helpers.sample_bot import Remark


def remarks(bot: Bot) -> list[str]:
    return sorted(bot.session.scalars(select(Remark.text)))


def everyday(bot: Bot, meta: Meta) -> None:
    """What every depth can show."""
    ada = bot.user("15550002222", "Ada")
    ada.sends("hello")
    bot.replied("Noted: hello", to=ada)
    assert remarks(bot) == ["hello", "read"]
    ada.sends("show")
    bot.replied("a picture").file("image")
    bot.replied().location(*sample_bot.PLACE)
    bot.replied().template("offer")
    ada.sends("ask")
    bot.replied("Sure?").buttons("Yes", "No")
    ada.taps("No")
    bot.redelivers()
    bot.replied("No it is.")
    ada.sends("my cat", image=b"four")
    bot.replied("4 bytes: my cat")
    ada.sends("like")
    bot.reacted("👍")
    meta.next(131056)
    ada.sends("wait")
    bot.later(seconds=5)
    bot.typed()
    assert {bot.replied().text, bot.replied().text} == {"One moment ...", "There."}
    ada.sends("busy")
    bot.silent()
    bot.later(seconds=31)
    bot.replied("Noted: busy")
    ada.sends("refused")
    assert bot.failed("never").dead
    bot.silent()


@pytest.mark.bot("pipeline")
def test_the_pipeline_understands_the_vocabulary(bot: Bot, meta: Meta) -> None:
    everyday(bot, meta)


@pytest.mark.bot("pipeline")
def test_the_database_of_a_pipeline_is_the_tests_own(bot: Bot) -> None:
    assert remarks(bot) == []


@pytest.mark.bot("pipeline")
def test_time_moves_in_the_stores(bot: Bot) -> None:
    ada = bot.user("15550002222")
    ada.sends("late")
    bot.later(days=3)
    bot.replied().template("offer")
    ada.sends("broken")
    assert not bot.failed(ValueError).dead
    bot.later(seconds=11)
    assert bot.failed("asked to fail").dead


@pytest.mark.bot("stack")
def test_the_stack_understands_the_vocabulary(bot: Bot, meta: Meta) -> None:
    everyday(bot, meta)
