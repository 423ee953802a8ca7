"""The bots of ``examples``, at the depth that each needs."""

import pytest

from app.testing import Bot
from examples import faq


def test_the_faq_offers_buttons_and_answers_the_one_that_is_tapped(bot: Bot) -> None:
    ada = bot.user("15550002222")
    ada.sends("hi")
    bot.replied().buttons(*(title for title, _ in faq.ANSWERS.values()))
    ada.taps("Where we are")
    assert "Harbour Street" in (bot.replied().text or "")
    bot.replied().location(*faq.PLACE)
    ada.sends(audio=b"...")
    bot.replied("I can read text only. Ask me for our hours, our place, or a person.")


@pytest.mark.bot("pipeline", handlers="examples.orders", tables=False)
def test_an_order_is_kept_with_its_answer_and_belongs_to_its_user(bot: Bot) -> None:
    ada, bob = bot.user("15550002222"), bot.user("15559990000")
    ada.sends("order tea")
    number = (bot.replied().text or "").partition(":")[0].removeprefix("Order ")
    ada.sends(f"cancel {number}")
    bot.replied(f"Order {number}, tea: cancelled.")
    bob.sends(f"status {number}")
    bot.replied(f"There is no order {number} of yours.", to=bob)


@pytest.mark.bot(handlers="examples.assistant")
def test_the_assistant_types_and_answers_once_though_the_model_was_busy(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("examples.assistant.PIECE_SECONDS", 0)
    ada = bot.user("15550002222")
    ada.sends("why?")
    bot.typed()
    bot.replied("You asked: why?\nI would ask that too.")
    ada.sends("busy")
    bot.silent()
    bot.later(seconds=1)
    assert "busy" in (bot.replied().text or "")
    bot.silent()


@pytest.mark.bot(handlers="examples.dialog")
def test_a_dialog_takes_its_answers_and_ends_when_none_comes(bot: Bot) -> None:
    ada, bob = bot.user("15550002222", "Ada"), bot.user("15559990000", "Bob")
    ada.sends("order")
    bot.replied("Which size?").buttons("Small", "Medium", "Large")
    bob.sends("Medium")
    bot.replied("Write “order” to order a pizza.", to=bob)
    ada.taps("Medium")
    bot.replied("Where to?")
    ada.sends("Harbour Street 5")
    bot.replied("Medium to Harbour Street 5. Shall we bake it?").buttons("Yes", "No")
    ada.taps("Yes")
    bot.replied("It is on its way to Harbour Street 5.")
    bob.sends("order")
    bot.replied("Which size?")
    bot.later(hours=2)
    bot.replied("Your order was not finished. Write “order” to begin anew.", to=bob)
    bob.sends("Small")
    bot.replied("Write “order” to order a pizza.")


@pytest.mark.bot(handlers="examples.handover")
def test_a_bot_hands_over_is_silent_meanwhile_and_takes_back_after_hours(bot: Bot) -> None:
    ada = bot.user("15550002222", "Ada")
    ada.sends("a person, please")
    bot.replied("A colleague will answer you here. I am silent meanwhile.")
    ada.sends("hello?")
    bot.silent()
    bot.later(hours=9)
    bot.silent()
    ada.sends("and now?")
    bot.replied("This is the bot again.")
    bot.replied("We are open from nine to five. Is there more?")
