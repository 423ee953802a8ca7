"""What Meta knows of the app, the accounts and the numbers behind an access token."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.graph import management
from app.graph.management import OBJECT, GraphRefusal, app_token
from config.control_characters import printable

MANAGEMENT = "whatsapp_business_management"
MESSAGING = "whatsapp_business_messaging"
NUMBER_FIELDS = "id,display_phone_number,quality_rating,status,throughput,webhook_configuration,health_status"


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where an app's webhooks go, and which fields are sent."""

    callback_url: str
    active: bool
    fields: frozenset[str]


@dataclass(frozen=True, slots=True)
class SubscribedApp:
    """An app that gets an account's webhooks; ``override`` is another callback URL for this account."""

    id: str
    name: str
    override: str


@dataclass(frozen=True, slots=True)
class Number:
    """A business phone number."""

    id: str
    shown: str
    quality: str  # GREEN, YELLOW, RED or UNKNOWN
    status: str  # CONNECTED, or why not
    throughput: str  # STANDARD, HIGH or NOT_APPLICABLE
    override: str  # a callback URL for this number alone
    health: tuple[
        tuple[str, str, str], ...
    ]  # what is limited: (APP, WABA, ...; LIMITED or BLOCKED; Meta's words)


@dataclass(frozen=True, slots=True)
class Account:
    """A WhatsApp Business Account (WABA)."""

    id: str
    apps: tuple[SubscribedApp, ...]
    numbers: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class AppFacts:
    """All that one token shows. ``refusals``: what Meta did not tell, by what was asked."""

    app_id: str = ""
    app_name: str = ""
    valid: bool = False
    expires_at: int = 0  # Unix seconds; 0: never
    scopes: frozenset[str] = frozenset()
    subscription: Subscription | None = None
    accounts: tuple[Account, ...] = ()
    refusals: Mapping[str, GraphRefusal] | None = None

    def refused(self, what: str) -> GraphRefusal | None:
        """Return why Meta did not tell something: token, subscriptions, accounts."""
        return (self.refusals or {}).get(what)


def ask(token: str, secrets: Sequence[str], account_ids: Sequence[str] = ()) -> AppFacts:
    """Ask Meta about everything that a token leads to; what it refuses is in ``refusals``.

    ``secrets``: of the app; the first that Meta takes is good enough. ``account_ids``: of WABAs that the token does not
    name itself.
    """
    try:
        shown = management.get("debug_token", token, input_token=token).get("data")
    except GraphRefusal as error:
        return AppFacts(refusals={"token": error})
    data: dict[str, Any] = shown if isinstance(shown, dict) else {}
    refusals: dict[str, GraphRefusal] = {}
    if not data.get("is_valid"):
        words = data.get("error")
        why = words.get("message") if isinstance(words, dict) else None
        refusals["token"] = GraphRefusal(str(why or "Meta says that it is not valid"))
    app_id = _text(data, "app_id")
    subscription = _subscription(app_id, secrets, refusals) if app_id else None
    accounts = []
    for account_id in dict.fromkeys([*account_ids, *_targets(data)]):
        try:
            accounts.append(_account(account_id, token))
        except GraphRefusal as error:
            refusals["accounts"] = error
    expires = [int(data.get(name) or 0) for name in ("expires_at", "data_access_expires_at")]
    return AppFacts(
        app_id=app_id,
        app_name=_text(data, "application"),
        valid=bool(data.get("is_valid")),
        expires_at=min(filter(None, expires), default=0),
        scopes=frozenset(str(each) for each in data.get("scopes") or ()),
        subscription=subscription,
        accounts=tuple(accounts),
        refusals=refusals,
    )


def _subscription(
    app_id: str, secrets: Sequence[str], refusals: dict[str, GraphRefusal]
) -> Subscription | None:
    for secret in secrets:
        try:
            rows = management.get_all(f"{app_id}/subscriptions", app_token(app_id, secret))
        except GraphRefusal as error:
            refusals["subscriptions"] = error
            continue
        refusals.pop("subscriptions", None)
        for row in rows:
            if row.get("object") == OBJECT:
                names = [
                    each.get("name") if isinstance(each, dict) else each for each in row.get("fields") or ()
                ]
                return Subscription(
                    _text(row, "callback_url"), bool(row.get("active", True)), frozenset(map(str, names))
                )
        return None
    return None


def _account(account_id: str, token: str) -> Account:
    apps = management.get_all(f"{account_id}/subscribed_apps", token)
    numbers = management.get_all(f"{account_id}/phone_numbers", token, fields=NUMBER_FIELDS)
    return Account(account_id, tuple(map(_app, apps)), tuple(map(_number, numbers)))


def _app(row: Mapping[str, Any]) -> SubscribedApp:
    data = row.get("whatsapp_business_api_data")
    found = data if isinstance(data, dict) else {}
    return SubscribedApp(_text(found, "id"), _text(found, "name"), _text(row, "override_callback_uri"))


def _number(row: Mapping[str, Any]) -> Number:
    throughput, webhook = row.get("throughput"), row.get("webhook_configuration")
    return Number(
        id=_text(row, "id"),
        shown=_text(row, "display_phone_number"),
        quality=_text(row, "quality_rating"),
        status=_text(row, "status"),
        throughput=_text(throughput, "level") if isinstance(throughput, dict) else "",
        override=_text(webhook, "phone_number") if isinstance(webhook, dict) else "",
        health=tuple(_limited(row.get("health_status"))),
    )


def _limited(health: Any) -> list[tuple[str, str, str]]:
    entities = health.get("entities") if isinstance(health, dict) else None
    found = []
    for entity in entities if isinstance(entities, list) else ():
        if isinstance(entity, dict) and entity.get("can_send_message") not in (None, "AVAILABLE"):
            errors = [each for each in entity.get("errors") or () if isinstance(each, dict)]
            names = ("error_code", "error_description", "possible_solution")
            words = " ".join(_text(error, name) for error in errors for name in names if _text(error, name))
            found.append((_text(entity, "entity_type"), _text(entity, "can_send_message"), words))
    return found


def _targets(data: Mapping[str, Any]) -> list[str]:
    """Return the accounts that the token was given, those for management first."""
    scopes = [each for each in data.get("granular_scopes") or () if isinstance(each, dict)]
    scopes.sort(key=lambda each: each.get("scope") != MANAGEMENT)
    return [
        str(target)
        for each in scopes
        if each.get("scope") in (MANAGEMENT, MESSAGING)
        for target in each.get("target_ids") or ()
    ]


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return printable(str(value)) if isinstance(value, str | int) else ""  # a terminal shows it
