"""Everything that can be set, typed and read once from the environment.

Every name may also be given as ``NAME_FILE``, the path of a file that holds the value (Docker and
Kubernetes secrets). All faults are reported together, so that one restart mends them all.
"""

import os
from functools import cache, cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from config.by_number import check_tokens, tokens_by_number, without_number
from config.durations import duration_or_off
from config.file_settings import FileSettingsSource, unreadable_files
from config.flower_roles import Role, parse_roles
from config.redis_endpoint import RedisEndpoint
from config.settings_checks import basic_auth, check_retention, database_url, http_url, misspelt, sentry_dsn

# A development secret is public on purpose: anybody may sign with it, so production refuses it.
DEVELOPMENT_APP_SECRET = "neverdrop-development-secret"  # noqa: S105
DEVELOPMENT_VERIFY_TOKEN = "neverdrop-development-token"  # noqa: S105
# Without these a production receiver would accept nothing, or anything
NEEDED = {
    "whatsapp_app_secret": "copy it from your app's Settings > Basic at developers.facebook.com",
    "whatsapp_verify_token": "choose a string and enter the same one beside your callback URL",
    "redis_url": "for example redis://localhost:6379/0",
    "database_url": "for example postgresql://localhost/neverdrop",
}
CHECKS = {
    "database_url": database_url,
    "alert_webhook_url": http_url,
    "whatsapp_api_url": http_url,
    "sentry_dsn": sentry_dsn,
}
STORES = frozenset({"redis_url", "database_url"})
PREFETCH = "app.handlers.prefetch"
HANDOVER = "app.handlers.handover"
SELF_CHECK = "app.handlers.self_check"
SELF_CHECK_FIELD = "neverdrop_doctor"  # of the deliveries that the doctor posts
MIN_TIME_LIMIT_SECONDS = 60  # sweeps, and an ingest that waits for Postgres, may take so long


_needed = frozenset(NEEDED)


def need(names: frozenset[str]) -> frozenset[str]:
    """Let this process do without the rest of NEEDED; returns which it needed before. Call it before ``settings``."""
    global _needed
    before, _needed = _needed, names
    return before


class SettingsError(Exception):
    """The environment does not add up; the message lists every fault, one a line."""


def _split(value: Any) -> Any:
    """``"a, b"`` → ``["a", "b"]``; what is a list already stays one."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _unset(value: Any) -> Any:
    """A variable that is set to nothing is not set."""
    return None if value == "" else value


Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_split)]
Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]
Roles = Annotated[dict[str, frozenset[Role]], NoDecode, BeforeValidator(parse_roles)]


class Settings(BaseSettings):
    """One attribute per environment variable, in lower case; times are in seconds."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=True
    )

    # Mode
    neverdrop_env: Literal["production", "development"] = "production"
    log_format: Literal["json", "console"] = "json"
    log_personal_data: bool = False

    # Meta
    whatsapp_app_secret: Secrets = ()
    whatsapp_verify_token: Secrets = ()
    # Sending: a token, or number=token for each number, separated by commas or lines
    whatsapp_access_token: SecretStr = SecretStr("")
    whatsapp_api_url: str = "https://graph.facebook.com"
    whatsapp_api_version: str = Field("v26.0", pattern=r"^v\d+\.\d+$")

    # Stores
    redis_url: str = ""
    redis_prefix: str = Field("", pattern="^[A-Za-z0-9_-]{0,64}$")
    database_url: str = ""
    redis_timeout_seconds: float = Field(5, gt=0, le=60)
    database_timeout_seconds: float = Field(30, ge=1, le=3600)

    # Web
    port: int = Field(8000, ge=1, le=65535)

    metrics_token: SecretStr = SecretStr("")

    # Handlers and lanes
    handlers: Names = ()
    allow_no_handlers: bool = False
    # How long an answer from the phone pauses the bot; None is not at all
    pause_on_echo: Annotated[float | None, BeforeValidator(duration_or_off)] = None
    handler_time_limit_seconds: float = Field(60, gt=0, le=3600)
    claim_lease_seconds: float = Field(20, ge=1)
    order_settle_seconds: float = Field(2, ge=0)
    advance_budget_seconds: float = Field(10, gt=0)
    max_replays: int = Field(4, ge=1, le=100)  # whose jobs are being made at once

    # Recovery: how long a thing must be without progress before a sweep enqueues it again
    sweep_grace_seconds: float = Field(10, ge=1)

    # Keeping: days after which what is finished is deleted; None is never
    retention_days: Annotated[int | None, BeforeValidator(_unset)] = None

    # Watching
    sentry_dsn: str = ""
    flower_basic_auth: SecretStr = SecretStr("")
    flower_read_only_users: Names = ()
    flower_roles: Roles = Field({})
    alert_webhook_url: str = ""
    alert_backlog_size: int = Field(10_000, ge=1)
    alert_backlog_growth: int = Field(1_000, ge=1, description="more events waiting than a window ago")
    alert_growth_window_seconds: float = Field(300, gt=0)
    alert_oldest_seconds: float = Field(300, gt=0)
    alert_dead_letters: int = Field(1, ge=1)
    alert_no_worker_seconds: float = Field(30, gt=0)
    alert_signatures_refused: int = Field(10, ge=1)
    alert_unhandled: int = Field(10, ge=1)
    alert_dead_replies: int = Field(1, ge=1)

    # Files that users send
    media_store: str = ""
    media_prefetch: bool = False
    media_max_bytes: int = Field(100 * 1024 * 1024, ge=1)

    # Targets: addresses that events are forwarded to
    forward_url: str = ""
    forward_secret: Secrets = ()
    targets: str = ""  # a TOML file
    targets_allow_private: bool = (
        False  # loopback and private addresses; in development they are allowed anyway
    )

    # Outbox
    unknown_send_seconds: float = Field(600, ge=1)  # that a status may settle it, before a person has to

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, FileSettingsSource(settings_cls)

    @field_validator("retention_days")
    @classmethod
    def _keeps_what_may_be_repeated(cls, days: int | None) -> int | None:
        return None if days is None else check_retention(days)

    @field_validator(*CHECKS)
    @classmethod
    def _usable(cls, value: str, info: ValidationInfo) -> str:
        return CHECKS[str(info.field_name)](value)

    @field_validator("whatsapp_access_token")
    @classmethod
    def _can_be_sent(cls, tokens: SecretStr) -> SecretStr:
        return SecretStr(check_tokens(tokens.get_secret_value()))

    @field_validator("flower_basic_auth")
    @classmethod
    def _has_users(cls, users: SecretStr) -> SecretStr:
        return SecretStr(basic_auth(users.get_secret_value()))

    @field_validator("media_prefetch")
    @classmethod
    def _has_a_store(cls, prefetch: bool, info: ValidationInfo) -> bool:
        if prefetch and not info.data.get("media_store"):
            raise ValueError("needs MEDIA_STORE: a directory, or s3://bucket/prefix")
        return prefetch

    @field_validator("redis_url")
    @classmethod
    def _known_redis(cls, url: str) -> str:
        if url:
            RedisEndpoint.parse(url)
        return url

    @field_validator(*NEEDED)
    @classmethod
    def _fit_for_production(cls, value: Any, info: ValidationInfo) -> Any:
        """Each by itself, so that it is named together with whatever else is wrong."""
        if info.data.get("neverdrop_env") != "production":
            return value
        if not value:
            if info.field_name not in _needed:
                return value
            raise ValueError(f"is not set: {NEEDED[str(info.field_name)]}")
        if info.field_name == "whatsapp_app_secret" and SecretStr(DEVELOPMENT_APP_SECRET) in value:
            raise ValueError("is the public development secret: use your app's own")
        return value

    @cached_property  # asked for with each request
    def app_secrets(self) -> tuple[bytes, ...]:
        """The secrets of all apps: what is signed with any of them is let in, whichever number it is for."""
        secrets = (without_number(secret.get_secret_value()) for secret in self.whatsapp_app_secret)
        return tuple(secret.encode() for secret in secrets) or (DEVELOPMENT_APP_SECRET.encode(),)

    @property
    def verify_tokens(self) -> tuple[bytes, ...]:
        return tuple(s.get_secret_value().encode() for s in self.whatsapp_verify_token) or (
            DEVELOPMENT_VERIFY_TOKEN.encode(),
        )

    @property
    def handler_modules(self) -> tuple[str, ...]:
        """The modules of HANDLERS, and ours that other settings ask for."""
        asked = {PREFETCH: self.media_prefetch, HANDOVER: self.pause_on_echo is not None}
        modules = (*self.handlers, *(module for module, is_asked in asked.items() if is_asked))
        return (*modules, SELF_CHECK) if modules else ()

    @cached_property
    def access_tokens(self) -> dict[str, str]:
        """phone_number_id → its access token; under "" the one of all others."""
        return tokens_by_number(self.whatsapp_access_token.get_secret_value())

    @property
    def redis(self) -> RedisEndpoint:
        return RedisEndpoint.parse(self.redis_url or "redis://localhost:6379/0")

    @property
    def key_prefix(self) -> str:
        """What every key in Redis begins with; no key has this slash otherwise, so no two prefixes meet."""
        return f"{self.redis_prefix}/" if self.redis_prefix else ""

    @property
    def advance_time_limit_seconds(self) -> float:
        """Hard limit of one ``advance`` task: its budget, one handler begun at the very end, some slack."""
        longest = self.advance_budget_seconds + self.handler_time_limit_seconds + 10
        return max(longest, MIN_TIME_LIMIT_SECONDS)

    @property
    def visibility_timeout_seconds(self) -> int:
        """When the broker gives an unacknowledged message to another worker: after any task must have ended."""
        return int(self.advance_time_limit_seconds) + 30


def load(**overrides: Any) -> Settings:
    """Settings from the environment; SettingsError lists every fault and what to do about it."""
    faults = [*misspelt(os.environ, Settings.model_fields), *unreadable_files(Settings.model_fields)]
    try:
        found = Settings(**overrides)
    except ValidationError as error:
        faults += [_sentence(fault) for fault in error.errors()]
    if faults:
        raise SettingsError("\n".join(faults))
    return found


def _sentence(fault: Any) -> str:
    message = str(fault["msg"]).removeprefix("Value error, ")
    name = str(fault["loc"][0]).upper() if fault["loc"] else ""
    return f"{name}: {message}" if name else message


@cache
def settings() -> Settings:
    """The process's settings, read at the first call."""
    return load()
