"""Judge what Meta says of the app, its accounts and numbers. Pure: no I/O."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from app.doctor.finding import Finding, Level
from app.graph import Account, AppFacts, Number

EXPIRES_WITHIN = timedelta(days=14)
ENDS_WITHIN = timedelta(days=90)
# A version ends two years after its successor appeared
VERSION_ENDS = {
    20: date(2026, 9, 24), 21: date(2027, 1, 21), 22: date(2027, 5, 20), 23: date(2027, 10, 8), 24: date(2028, 2, 18),
    25: date(2028, 7, 29),
}  # fmt: skip
MANAGEMENT, MESSAGING = "whatsapp_business_management", "whatsapp_business_messaging"  # scopes
CONNECT = "`neverdrop connect --url URL` sets it"
AS_OF_META = "In Meta's words"


def judge(facts: AppFacts, url: str | None, now: datetime) -> Iterator[Finding]:
    """Yield what is wrong; ``url`` is where the callback should lead, None: wherever it leads."""
    if refusal := facts.refused("token"):
        yield Finding(
            "meta_token",
            f"Meta does not take the access token: {refusal}",
            "nothing can be sent, and replies wait",
            "make a new token of a system user (Business settings > System users) and set WHATSAPP_ACCESS_TOKEN",
        )
    if not facts.app_id:
        return
    yield from _token(facts, now)
    yield from _subscription(facts, url)
    for account in facts.accounts:
        yield from _account(facts, account, url)
    if not facts.accounts:
        refusal = facts.refused("accounts")
        yield Finding(
            "meta_account",
            f"the token names no account (WABA){f': {refusal}' if refusal else ''}",
            "whether webhooks are sent for your numbers cannot be looked at",
            f"give the system user the account with full control, and the scope {MANAGEMENT}; or name it: --account",
        )


def version(name: str, today: date) -> Iterator[Finding]:
    """Yield a finding when a Graph version ends within ENDS_WITHIN, or has ended."""
    number = int(name.removeprefix("v").partition(".")[0])
    oldest = min(VERSION_ENDS)
    ends = VERSION_ENDS[oldest] if number < oldest else VERSION_ENDS.get(number)
    if ends is not None and ends - today <= ENDS_WITHIN:
        done = "has ended" if ends <= today else f"ends on {ends}"
        yield Finding(
            "meta_version",
            f"WHATSAPP_API_VERSION is {name}, which {done}",
            "Meta then answers with the oldest version that is left, whose answers differ",
            "leave WHATSAPP_API_VERSION out, or set the newest version after reading Meta's changelog",
            Level.PROBLEM if ends <= today else Level.ADVICE,
        )


def _token(facts: AppFacts, now: datetime) -> Iterator[Finding]:
    if facts.valid and facts.expires_at:
        at = datetime.fromtimestamp(facts.expires_at, UTC)
        if at - now <= EXPIRES_WITHIN:
            yield Finding(
                "meta_token",
                f"the access token expires on {at:%Y-%m-%d}",
                "from then on nothing is sent",
                "use a system user's token that never expires",
                Level.ADVICE,
            )
    missing = [scope for scope in (MESSAGING, MANAGEMENT) if scope not in facts.scopes]
    if facts.valid and missing:
        yield Finding(
            "meta_scopes",
            f"the access token lacks {' and '.join(missing)}",
            f"without {MESSAGING} nothing is sent; without {MANAGEMENT} nothing can be looked at or set",
            "make a token of the system user with both scopes",
        )


def _subscription(facts: AppFacts, url: str | None) -> Iterator[Finding]:
    if refusal := facts.refused("subscriptions"):
        yield Finding(
            "meta_app_secret",
            f"Meta does not take WHATSAPP_APP_SECRET as that of app {facts.app_id}: {refusal}",
            "signatures are checked with it: every webhook would be refused with 401",
            "copy the secret of this app from Settings > Basic; while it is replaced set new,old",
        )
        return
    found = facts.subscription
    if found is None or not found.callback_url:
        yield Finding(
            "meta_callback_url",
            f"app {facts.app_id} has no callback URL for WhatsApp",
            "Meta sends nothing",
            CONNECT,
        )
        return
    if url is not None and not same(found.callback_url, url):
        yield Finding(
            "meta_callback_url",
            f"Meta calls {found.callback_url}, not {url}",
            "webhooks go elsewhere",
            CONNECT,
        )
    if not found.active:
        yield Finding(
            "meta_callback_url",
            f"the subscription of app {facts.app_id} is switched off",
            "Meta sends nothing",
            CONNECT,
        )
    if "messages" not in found.fields:
        yield Finding(
            "meta_fields",
            f"the field messages is not subscribed (only {', '.join(sorted(found.fields)) or 'none'})",
            "neither messages nor statuses are sent",
            CONNECT,
        )


def _account(facts: AppFacts, account: Account, url: str | None) -> Iterator[Finding]:
    ours = [app for app in account.apps if app.id == facts.app_id]
    others = [app for app in account.apps if app.id != facts.app_id]
    if not ours:
        yield Finding(
            "meta_subscribed_app",
            f"app {facts.app_id} is not subscribed to account {account.id}",
            "Meta sends it nothing of this account, whatever the callback URL is",
            CONNECT,
        )
    if others:
        names = ", ".join(app.name or app.id for app in others)
        yield Finding(
            "meta_other_apps",
            f"account {account.id} also sends to {names}",
            "when one app's endpoint fails Meta repeats for all; two bots may answer one user",
            "DELETE /<account>/subscribed_apps with the token of an app that is not meant",
            Level.ADVICE,
        )
    meant = url or (facts.subscription.callback_url if facts.subscription else None)
    for override in (app.override for app in ours):
        yield from _override(f"account {account.id}", override, meant)
    for number in account.numbers:
        yield from _override(f"number {number.shown or number.id}", number.override, meant)
        yield from _number(number)


def _override(whose: str, override: str, meant: str | None) -> Iterator[Finding]:
    if override and meant and not same(override, meant):
        yield Finding(
            "meta_override",
            f"{whose} overrides the callback URL with {override}",
            "a number's URL is taken before the account's, and that before the app's: its webhooks go there",
            "`neverdrop connect --url URL` takes the override of an account away; a number's is set in its"
            " webhook_configuration",
        )


def _number(number: Number) -> Iterator[Finding]:
    name = number.shown or number.id
    for entity, state, words in number.health:
        if entity == "APP":
            yield Finding(
                "meta_live",
                f"the app is {state.lower()} for number {name}: {words}",
                "an app in development mode gets webhooks of testers only",
                f"switch it to Live in the app's dashboard. {AS_OF_META}: {words or 'no more'}",
            )
        else:
            yield Finding(
                "meta_health",
                f"{entity.lower().replace('_', ' ')} is {state.lower()} for number {name}: {words}",
                "messages are refused or limited",
                f"see it in WhatsApp Manager. {AS_OF_META}: {words or 'no more'}",
            )
    if number.status not in ("", "CONNECTED"):
        yield Finding(
            "meta_number",
            f"number {name} is {number.status}",
            "it neither sends nor receives",
            "register it: POST /<number>/register with its two-step PIN, or see WhatsApp Manager",
        )
    if number.quality in ("RED", "YELLOW"):
        yield Finding(
            "meta_quality",
            f"the quality of number {name} is {number.quality}",
            "Meta lowers the limits of such a number, and may stop it",
            "send less that users did not ask for; WhatsApp Manager shows what they blocked",
            Level.PROBLEM if number.quality == "RED" else Level.ADVICE,
        )
    if number.throughput == "NOT_APPLICABLE":
        yield Finding(
            "meta_throughput",
            f"number {name} has no throughput level",
            "it cannot send by the Cloud API: it is registered elsewhere",
            "register it for the Cloud API",
        )


def same(one: str, other: str) -> bool:
    """Return whether two callback URLs are one; a slash at the end makes no difference to us."""
    return one.rstrip("/") == other.rstrip("/")


def handshake(url: str, problem: str | None) -> Iterator[Finding]:
    """Yield what the handshake, done from here as Meta does it, ended with."""
    if problem:
        yield Finding(
            "meta_handshake",
            f"{url} does not answer the handshake: {problem}",
            "Meta takes no such callback URL, and sends nothing to one that fails",
            "let it lead to web's /webhook by TLS with a valid certificate, with this deployment's"
            " WHATSAPP_VERIFY_TOKEN",
        )
