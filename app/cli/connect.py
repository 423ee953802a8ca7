"""``neverdrop connect``: let Meta send webhooks here."""

from dataclasses import asdict

import click

from app.cli.terminal import JSON, YES, confirm, print_json
from app.doctor import handshake
from app.graph import AppFacts, apply, ask, plan
from config.settings import settings

FIELDS = "messages"
MAX_URL = 200  # characters that Meta takes


@click.command()
@click.option("--url", required=True, help="of web's /webhook, as Meta reaches it")
@click.option(
    "--fields", default=FIELDS, show_default=True, help="to subscribe, separated by commas; others stay"
)
@click.option("--account", "accounts", multiple=True, help="a WABA that the token does not name itself")
@click.option("--dry-run", is_flag=True, help="say what would be set, and set nothing")
@YES
@JSON
def connect(
    url: str, fields: str, accounts: tuple[str, ...], dry_run: bool, yes: bool, as_json: bool
) -> None:
    """Set callback URL, verify token and fields at Meta, and subscribe the accounts (WABAs).

    With WHATSAPP_ACCESS_TOKEN (of a system user, with whatsapp_business_management), WHATSAPP_APP_SECRET and
    WHATSAPP_VERIFY_TOKEN. It says first what it will set, and tries the URL as Meta will. Where all is so already,
    nothing is set.
    """
    if len(url) > MAX_URL or not url.startswith(("https://", "http://")):
        raise click.UsageError(f"--url must be like https://host/webhook, of at most {MAX_URL} characters")
    known = settings()
    verify_token = known.verify_tokens[0].decode()
    if not known.access_tokens:
        raise click.ClickException(
            "WHATSAPP_ACCESS_TOKEN is not set: make a token of a system user and set it"
        )
    if problem := handshake(url, verify_token):
        raise click.ClickException(f"{url} does not answer as Meta needs it: {problem}. Nothing was set")
    secrets = [secret.decode() for secret in known.app_secrets]
    names = [name.strip() for name in fields.split(",") if name.strip()]
    found = {token: ask(token, secrets, accounts) for token in dict.fromkeys(known.access_tokens.values())}
    changes = []
    for token, facts in found.items():
        _check(facts)
        changes += [(change, facts, token) for change in plan(facts, url, verify_token, names)]
    for change, _, _ in changes:
        if as_json:
            print_json({**asdict(change), "values": [name for name, _ in change.values], "dry_run": dry_run})
        else:
            click.echo(f"{'would set' if dry_run else 'to set'}: {change.what}")
    if not changes and not as_json:
        click.echo("Meta has it so already: nothing to set")
    if dry_run or not changes:
        return
    confirm("Set this at Meta?", yes=yes)
    for change, facts, token in changes:
        apply(change, facts, token, secrets)
    if not as_json:
        click.echo("done; `neverdrop doctor --meta --deliver` looks whether it works")


def _check(facts: AppFacts) -> None:
    """ClickException where Meta does not tell enough to go on."""
    for what, fix in (
        ("token", "set WHATSAPP_ACCESS_TOKEN to one that works"),
        ("subscriptions", "WHATSAPP_APP_SECRET must be this app's"),
        ("accounts", "the token's user needs the account; or name another with --account"),
    ):
        if refusal := facts.refused(what):
            raise click.ClickException(f"{refusal}: {fix}. Nothing was set")
    if not facts.accounts:
        raise click.ClickException("the token names no account: give its id with --account. Nothing was set")
