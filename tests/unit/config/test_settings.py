"""Settings from the environment: every fault at once, and nothing unsafe in production."""

import re
from pathlib import Path

import pytest

from config import settings as configuration
from config.settings import DEVELOPMENT_APP_SECRET, Settings, SettingsError, load

PRODUCTION = {
    "WHATSAPP_APP_SECRET": "s3cret",
    "WHATSAPP_VERIFY_TOKEN": "token",
    "REDIS_URL": "redis://localhost/0",
    "DATABASE_URL": "postgresql://localhost/neverdrop",
}


@pytest.fixture(autouse=True)
def production(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that is complete, with nothing of the machine's own."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
        monkeypatch.delenv(f"{name.upper()}_FILE", raising=False)
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)


def faults() -> list[str]:
    with pytest.raises(SettingsError) as raised:
        load()
    return str(raised.value).splitlines()


def test_production_is_the_mode_unless_told_otherwise() -> None:
    assert load().neverdrop_env == "production"


# Faults


def test_all_that_is_missing_in_production_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PRODUCTION:
        monkeypatch.delenv(name)
    assert [re.split("[ :]", fault)[0] for fault in faults()] == list(PRODUCTION)
    assert all("is not set: " in fault for fault in faults())


def test_all_values_that_cannot_be_used_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = {
        "PORT": "web",
        "CLAIM_LEASE_SECONDS": "0",
        "REDIS_URL": "http://h",
        "REDIS_PREFIX": "staging:*",
        "DATABASE_URL": "mysql://h",
    }
    for name, value in wrong.items():
        monkeypatch.setenv(name, value)
    assert sorted(fault.split(":")[0] for fault in faults()) == sorted(wrong)


def test_what_is_missing_and_what_cannot_be_used_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "web")
    monkeypatch.delenv("WHATSAPP_APP_SECRET")
    sentences = "\n".join(faults())
    assert "PORT" in sentences
    assert "WHATSAPP_APP_SECRET" in sentences


def test_a_file_that_cannot_be_read_is_a_fault_like_any_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SENTRY_DSN_FILE", str(tmp_path / "one"))
    monkeypatch.setenv("FLOWER_BASIC_AUTH_FILE", str(tmp_path / "two"))
    monkeypatch.setenv("PORT", "web")
    sentences = "\n".join(faults())
    assert [name in sentences for name in ("SENTRY_DSN_FILE", "FLOWER_BASIC_AUTH_FILE", "PORT")] == [True] * 3


def test_a_fault_does_not_repeat_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "mysql://user:pa55word@h/db")
    assert "pa55word" not in "\n".join(faults())


# Secrets


def test_production_refuses_the_development_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHATSAPP_APP_SECRET", f"mine,{DEVELOPMENT_APP_SECRET}")
    (fault,) = faults()
    assert "is the public development secret: use your app's own" in fault


def test_development_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PRODUCTION:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NEVERDROP_ENV", "development")
    assert load().app_secrets == (DEVELOPMENT_APP_SECRET.encode(),)
    assert load().redis.url == "redis://localhost:6379/0"


def test_several_secrets_and_handlers_are_given_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHATSAPP_APP_SECRET", " new, old ,")
    monkeypatch.setenv("WHATSAPP_VERIFY_TOKEN", "a,b")
    monkeypatch.setenv("HANDLERS", "shop.handlers, shop.statuses")
    assert load().app_secrets == (b"new", b"old")
    assert load().verify_tokens == (b"a", b"b")
    assert load().handlers == ("shop.handlers", "shop.statuses")


def test_secrets_may_be_given_for_each_number_as_tokens_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHATSAPP_APP_SECRET", "200300400500600=one, other=, plain")
    assert load().app_secrets == (b"one", b"other=", b"plain")


def test_an_answer_from_the_phone_pauses_the_bot_only_where_it_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert load().handler_modules == ()
    monkeypatch.setenv("PAUSE_ON_ECHO", "12h")
    assert (load().pause_on_echo, load().handler_modules) == (
        43_200,
        ("app.handlers.handover", "app.handlers.self_check"),
    )
    monkeypatch.setenv("PAUSE_ON_ECHO", "soon")
    assert "PAUSE_ON_ECHO: must be a time like 30m, 12h or 2d" in "\n".join(faults())


def test_a_secret_may_come_from_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from a file, and another\n")
    monkeypatch.delenv("WHATSAPP_APP_SECRET")
    monkeypatch.setenv("WHATSAPP_APP_SECRET_FILE", str(secret))
    assert load().app_secrets == (b"from a file", b"and another")


def test_a_number_may_come_from_a_file_too(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    port = tmp_path / "port"
    port.write_text("9000\n")
    monkeypatch.setenv("PORT_FILE", str(port))
    assert load().port == 9000


def test_secrets_are_not_shown_with_the_settings() -> None:
    assert "s3cret" not in repr(load())


# Stores


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg2"])
def test_every_spelling_of_a_postgres_url_is_understood(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setenv("DATABASE_URL", f"{scheme}://u:p@h:5432/db?sslmode=require")
    assert load().database_url == "postgresql://u:p@h:5432/db?sslmode=require"


# Retention


@pytest.mark.parametrize("days", ["0", "-1", "7", "7.5", "1000000", "a month"])
def test_an_age_at_which_a_repeat_may_still_come_is_a_fault(
    days: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RETENTION_DAYS", days)
    assert [fault.split(":")[0] for fault in faults()] == ["RETENTION_DAYS"]


def test_the_fault_of_a_short_retention_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_DAYS", "7")
    (fault,) = faults()
    assert fault.startswith("RETENTION_DAYS: must be at least 8 days: Meta repeats a webhook for 7 days")


@pytest.mark.parametrize(("value", "days"), [("8", 8), ("365", 365), ("", None)])
def test_a_retention_is_a_number_of_days_or_nothing(
    value: str, days: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load().retention_days is None
    monkeypatch.setenv("RETENTION_DAYS", value)
    assert load().retention_days == days


# What was copied wrong


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SENTRY_DSN", "sentry.io/4"),
        ("SENTRY_DSN", "https://o1.ingest.sentry.io/4"),
        ("ALERT_WEBHOOK_URL", "hooks.slack.com/services/1"),
        ("ALERT_WEBHOOK_URL", "https://:x"),
        ("FLOWER_BASIC_AUTH", "ada"),
        ("FLOWER_BASIC_AUTH", "ada:secret,grace:"),
        ("DATABASE_URL", "postgresql://u:p/w@h/db"),
        ("DATABASE_URL", "postgresql://h/db\nx"),
        ("WHATSAPP_API_URL", "https:///v1"),
    ],
)
def test_an_address_or_login_that_cannot_work_is_named_at_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    (fault,) = faults()
    assert fault.startswith(f"{name}: ")
    assert value not in fault  # it may be a secret


def test_what_is_right_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SENTRY_DSN", "https://key@o1.ingest.sentry.io/4")
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "https://hooks.slack.com/services/1")
    monkeypatch.setenv("FLOWER_BASIC_AUTH", "ada:secret,grace:hop:per")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p%2Fw@one:5432,two:5433/db")
    assert load().flower_basic_auth.get_secret_value() == "ada:secret,grace:hop:per"
    assert load().database_url == "postgresql://u:p%2Fw@one:5432,two:5433/db"


@pytest.mark.parametrize(
    ("slip", "meant"),
    [
        ("HANDLRES", "HANDLERS"),
        ("HANDLER", "HANDLERS"),
        ("SENTRY_DNS", "SENTRY_DSN"),
        ("RETENTON_DAYS", "RETENTION_DAYS"),
    ],
)
def test_a_name_that_is_nearly_a_setting_is_refused(
    monkeypatch: pytest.MonkeyPatch, slip: str, meant: str
) -> None:
    monkeypatch.setenv(slip, "mybot")
    (fault,) = faults()
    assert fault == f"{slip}: is no setting; {meant} is. Rename it, or set {meant} too if both are meant"
    monkeypatch.setenv(meant, "8" if meant == "RETENTION_DAYS" else "")
    assert load()


@pytest.mark.parametrize("name", ["REDIS_TLS_URL", "PGPORT", "HANDLERS_BUCKET", "_HANDLERS", "PORTS"])
def test_other_programs_names_are_theirs(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "x")
    assert load()


def test_a_command_may_do_without_metas_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WHATSAPP_APP_SECRET")
    monkeypatch.delenv("WHATSAPP_VERIFY_TOKEN")
    before = configuration.need(configuration.STORES)
    try:
        assert load().whatsapp_app_secret == ()
    finally:
        configuration.need(before)
    assert len(faults()) == 2
