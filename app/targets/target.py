"""A target: an HTTP address that events are forwarded to, with everything that can be set for it. Pure: no I/O."""

import math
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from app.handlers import MAX_JOIN_SECONDS, TARGET_LANE
from app.targets.addresses import check_url

Kind = Literal["message", "status", "payment_status", "call_status", "other"]
KINDS: tuple[Kind, ...] = ("message", "status", "payment_status", "call_status", "other")
JOINED_KIND, JOINED_TYPE = "message", "text"  # what ``join`` makes bursts of
NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
FUNCTION = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
# These are ours to write
RESERVED = ("host", "content-length", "content-type", "transfer-encoding", "connection", "webhook-", "x-hub-")
SECRET_PREFIX = "whsec_"  # noqa: S105
MIN_SECRET_BYTES = 16
MAX_SECRETS = 2  # one, and while it is rotated the one before


def _name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError("must be a name of a-z, 0-9, - and _, at most 32, that begins with a letter")
    return name


def _several(value: Any) -> Any:
    """One secret may stand alone."""
    return value if isinstance(value, list | tuple) else [value]


def _secret(secret: SecretStr) -> SecretStr:
    """Hold a secret against the standard: whsec_ and Base64."""
    text = secret.get_secret_value()
    encoded = text.removeprefix(SECRET_PREFIX)
    try:
        size = len(b64decode(encoded + "=" * (-len(encoded) % 4), validate=True))
    except (Base64Error, ValueError):
        size = 0
    if not text.startswith(SECRET_PREFIX) or size < MIN_SECRET_BYTES:
        raise ValueError(
            f"is no secret: {SECRET_PREFIX} and Base64 of {MIN_SECRET_BYTES} bytes or more, for example by"
            " `python -c \"import base64, os; print('whsec_' + base64.b64encode(os.urandom(32)).decode())\"`"
        )
    return secret


def _headers(headers: Mapping[str, SecretStr]) -> Mapping[str, SecretStr]:
    for name, value in headers.items():
        if not HEADER.fullmatch(name) or not HEADER_VALUE.fullmatch(value.get_secret_value()):
            raise ValueError(f"{name!r} is no header that can be sent, or its value is not plain ASCII")
        if name.lower().startswith(RESERVED):
            raise ValueError(f"{name!r} is a header that is written for each request")
    return headers


def _function(name: str | None) -> str | None:
    if name is not None and not FUNCTION.fullmatch(name):
        raise ValueError("must be module:function")
    return name


def _finite(seconds: float | None) -> float | None:
    if seconds is not None and not math.isfinite(seconds):
        raise ValueError("must be a number")
    return seconds


Seconds = Annotated[float, AfterValidator(_finite)]
Id = Annotated[str, Field(pattern=r"^[0-9]+$")]
WebhookSecret = Annotated[SecretStr, AfterValidator(_secret)]


class Target(BaseModel):
    """One ``[[target]]`` of the file that TARGETS names, or what FORWARD_URL makes."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    name: Annotated[str, AfterValidator(_name)]
    url: Annotated[str, AfterValidator(check_url)]
    secret: Annotated[
        tuple[WebhookSecret, ...], BeforeValidator(_several), Field(min_length=1, max_length=MAX_SECRETS)
    ]
    form: Literal["event", "raw"] = "event"
    hub_secret: SecretStr | None = None  # of X-Hub-Signature-256, with form = "raw"
    kinds: Annotated[tuple[Kind, ...], Field(min_length=1)] = KINDS
    types: tuple[str, ...] = ()  # none stands for all
    numbers: tuple[Id, ...] = ()  # phone_number_ids; none stands for all
    accounts: tuple[Id, ...] = ()  # ids of WABAs
    lane: Annotated[str | None, AfterValidator(lambda name: name if name is None else _name(name))] = None
    join: Annotated[Seconds | None, Field(gt=0, le=MAX_JOIN_SECONDS)] = None  # seconds
    connect_timeout_seconds: Annotated[Seconds, Field(gt=0, le=30)] = 5.0
    timeout_seconds: Annotated[Seconds, Field(gt=0, le=60)] = 15.0
    rate: Annotated[Seconds | None, Field(gt=0, le=10_000)] = None  # a second
    concurrency: Annotated[int, Field(ge=1, le=256)] = 32  # attempts at a time
    headers: Annotated[Mapping[str, SecretStr], AfterValidator(_headers)] = Field({})
    payload: Annotated[str | None, AfterValidator(_function)] = None  # module:function that makes the body

    @model_validator(mode="after")
    def _raw_has_its_secret(self) -> Self:
        if (self.form == "raw") != bool(self.hub_secret and self.hub_secret.get_secret_value()):
            raise ValueError('form = "raw" and hub_secret belong together')
        if self.form == "raw" and self.payload is not None:
            raise ValueError('form = "raw" is Meta\'s own body: it has no payload function')
        return self

    @model_validator(mode="after")
    def _joins_what_it_wants(self) -> Self:
        wants_texts = JOINED_KIND in self.kinds and (not self.types or JOINED_TYPE in self.types)
        if self.join is not None and not wants_texts:
            raise ValueError("join is for text messages, which this target does not want")
        return self

    @property
    def handler_name(self) -> str:
        """What its jobs are stored for, as a handler's are for module.function."""
        return f"{TARGET_LANE}{self.name}"

    @property
    def lane_name(self) -> str:
        return f"{TARGET_LANE}{self.lane or self.name}"

    @property
    def secrets(self) -> tuple[str, ...]:
        return tuple(secret.get_secret_value() for secret in self.secret)
