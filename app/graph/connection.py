"""Connect a deployment with Meta: what is to be set at the app and its accounts, and setting it."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.graph import management
from app.graph.app_facts import AppFacts
from app.graph.management import OBJECT, app_token


@dataclass(frozen=True, slots=True)
class GraphSetting:
    """One call that sets something; ``what`` says it to a person, without secrets."""

    what: str
    path: str
    values: tuple[tuple[str, str], ...]
    by_app: bool  # with the app's own token


def plan(facts: AppFacts, url: str, verify_token: str, fields: Sequence[str]) -> list[GraphSetting]:
    """Return what has to be set so that webhooks of every account come to ``url``; [] where all is so already.

    Fields that are subscribed already stay.
    """
    changes = []
    known = facts.subscription
    wanted = frozenset(fields) | (known.fields if known else frozenset())
    if (
        known is None
        or not known.active
        or known.callback_url.rstrip("/") != url.rstrip("/")
        or known.fields != wanted
    ):
        before = f" (now {known.callback_url}, {', '.join(sorted(known.fields))})" if known else ""
        names = ",".join(sorted(wanted))
        values = (
            ("object", OBJECT),
            ("callback_url", url),
            ("verify_token", verify_token),
            ("fields", names),
        )
        what = f"app {facts.app_id} {facts.app_name}: callback URL {url}, fields {names}{before}"
        changes.append(GraphSetting(what, f"{facts.app_id}/subscriptions", values, by_app=True))
    for account in facts.accounts:
        ours = next((app for app in account.apps if app.id == facts.app_id), None)
        path = f"{account.id}/subscribed_apps"
        if ours is None:
            changes.append(GraphSetting(f"account {account.id}: subscribe the app", path, (), by_app=False))
        elif ours.override and ours.override.rstrip("/") != url.rstrip("/"):
            what = f"account {account.id}: take the override {ours.override} away"
            changes.append(GraphSetting(what, path, (), by_app=False))
    return changes


def apply(change: GraphSetting, facts: AppFacts, token: str, secrets: Sequence[str]) -> None:
    """Make one call; GraphRefusal with Meta's words. Made twice it changes nothing more."""
    tokens = [app_token(facts.app_id, secret) for secret in secrets] if change.by_app else [token]
    for number, each in enumerate(tokens, 1):
        try:
            management.post(change.path, each, dict(change.values))
        except management.GraphRefusal:
            if number == len(tokens):
                raise
        else:
            return
