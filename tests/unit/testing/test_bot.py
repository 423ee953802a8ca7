"""The first depth of the test kit: handlers alone, and the vocabulary of a test."""

import re
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from app.testing import Bot, Meta
from config.settings import Settings, settings
from tests.helpers import sample_bot
from tests.helpers.sample_bot import Remark


def remarks(bot: Bot) -> list[str]:
    return sorted(bot.session.scalars(select(Remark.text)))


def test_a_reply_is_checked_by_its_text_and_buttons(bot: Bot) -> None:
    ada = bot.user("15550002222")
    ada.sends("ask")
    bot.replied("Sure?", to=ada).buttons("Yes", "No")
    ada.taps("Yes")
    bot.replied(re.compile("^Yes"))
    ada.sends("choose")
    bot.replied("Which?").rows("Red", "Blue")
    ada.taps("Blue")
    bot.replied("Blue it is.")
    bot.silent()


def test_files_places_templates_and_reactions_are_checked(bot: Bot) -> None:
    ada = bot.user("15550002222")
    ada.sends("show")
    bot.replied("a picture").file("image", "https://example.com/a.png")
    bot.replied().location(*sample_bot.PLACE)
    bot.replied().template("offer")
    ada.sends("like")
    bot.reacted("👍")


def test_a_handler_reads_the_file_that_a_user_sends(bot: Bot) -> None:
    bot.user("15550002222").sends("my cat", image=b"four")
    bot.replied("4 bytes: my cat")


def test_effects_are_seen_and_gone_with_the_test(bot: Bot) -> None:
    assert remarks(bot) == []
    bot.user("15550002222").sends("hello")
    bot.replied("Noted: hello")
    assert remarks(bot) == ["hello", "read"]


def test_effects_of_the_test_before_are_gone(bot: Bot) -> None:
    assert remarks(bot) == []


def test_what_meta_delivers_again_runs_once(bot: Bot) -> None:
    bot.user("15550002222").sends("hello")
    bot.redelivers()
    bot.replied("Noted: hello")
    bot.silent()
    assert remarks(bot) == ["hello", "read"]


def test_an_attempt_that_asks_for_later_runs_when_it_is_due(bot: Bot) -> None:
    ada = bot.user("15550002222")
    ada.sends("busy")
    ada.sends("behind it")
    bot.later(seconds=29)
    bot.silent()
    bot.later(seconds=1)
    bot.replied("Noted: busy")
    bot.replied("Noted: behind it")


def test_a_failed_attempt_is_looked_at_and_tried_again(bot: Bot) -> None:
    bot.user("15550002222").sends("broken")
    assert not bot.failed(ValueError).dead
    bot.later(seconds=10)
    assert bot.failed("asked to fail").dead
    bot.user("15550002222").sends("refused")
    assert bot.failed("Permanent").dead
    bot.silent()


def test_a_failure_that_the_test_did_not_expect_fails_it(bot: Bot) -> None:
    bot.user("15550002222").sends("broken")
    with pytest.raises(
        AssertionError, match=r"tests\.helpers\.sample_bot\.text failed in attempt 1: ValueError"
    ):
        bot.close()
    bot.failed()


def test_a_code_of_metas_is_answered_once(bot: Bot, meta: Meta) -> None:
    meta.next(131056)
    bot.user("15550002222").sends("hello")
    bot.silent()
    bot.later(seconds=2)
    bot.replied("Noted: hello")


def test_what_meta_refuses_for_good_is_told(bot: Bot, meta: Meta) -> None:
    meta.next(131026)
    bot.user("15550002222").sends("hello")
    with pytest.raises(AssertionError, match=r"a send is dead: \(131026\)"):
        bot.replied()


def test_a_reminder_waits_for_its_time_and_can_be_cancelled(bot: Bot) -> None:
    ada = bot.user("15550002222")
    ada.sends("remind")
    ada.sends("hello")
    bot.replied("Noted: hello")
    bot.later(minutes=11)
    bot.replied("It is time.")
    ada.sends("remind")
    ada.sends("never mind")
    bot.replied("Cancelled.")
    bot.later(minutes=11)
    bot.silent()


def test_outside_the_window_the_template_leaves(bot: Bot) -> None:
    bot.user("15550002222").sends("late")
    bot.later(days=3)
    bot.replied().template("offer")


def test_what_is_sent_at_once_comes_first_and_once(bot: Bot) -> None:
    bot.user("15550002222").sends("wait")
    bot.typed()
    bot.replied("One moment ...")
    bot.replied("There.")


def test_a_failed_check_shows_the_conversation(bot: Bot) -> None:
    ada = bot.user("15550002222", "Ada")
    ada.sends("ask")
    bot.replied()
    ada.taps("No")
    bot.later(minutes=5)
    with pytest.raises(AssertionError) as failed:
        bot.replied("Maybe it is.")
    assert str(failed.value) == "\n".join(
        (
            "expected 'Maybe it is.', got: No it is.",
            "",
            "the conversation:",
            "  Ada  ask",
            "  bot  Sure? [Yes] [No]",
            "  Ada  taps [No]",
            "  bot  No it is.",
            "       (0:05:00 later)",
        )
    )


def test_a_message_that_no_handler_takes_is_told(bot: Bot) -> None:
    bot.user("15550002222").sends(audio=b"...")
    with pytest.raises(AssertionError, match="no handler is registered for a message of type 'audio'"):
        bot.replied()


def test_only_what_was_offered_can_be_tapped(bot: Bot) -> None:
    ada = bot.user("15550002222", "Ada")
    ada.sends("ask")
    bot.replied()
    with pytest.raises(AssertionError, match="Ada was sent nothing with 'Maybe' to tap"):
        ada.taps("Maybe")


OUTSIDE = "https://production.example/0"
PLACES = (str, SecretStr, tuple[SecretStr, ...])  # types of settings that may lead somewhere


@pytest.mark.parametrize("suffix", ["", "_FILE"])
def test_a_test_reaches_nothing_that_the_environment_names(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, suffix: str
) -> None:
    file = tmp_path / "outside"
    file.write_text(OUTSIDE)
    for name, field in Settings.model_fields.items():
        if field.annotation in PLACES and name != "whatsapp_api_version":
            monkeypatch.setenv(f"{name.upper()}{suffix}", str(file) if suffix else OUTSIDE)
    request.getfixturevalue("bot")
    values = settings().model_dump().values()
    texts = [value for each in values for value in (each if isinstance(each, tuple) else (each,))]
    shown = [value.get_secret_value() if isinstance(value, SecretStr) else str(value) for value in texts]
    assert [value for value in shown if OUTSIDE in value] == []
    assert settings().media_store  # a directory of the test's own
