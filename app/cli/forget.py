"""``neverdrop forget``: erase a person, and look whether anything is left."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict

import click
from redis.exceptions import RedisError

from app import dead_letters, erasure
from app.cli.parameters import user
from app.cli.terminal import JSON, YES, confirm, print_json
from app.erasure import Erased, ErasedPerson, Place
from app.handlers import load_handlers
from app.stores import engine, redis
from config.settings import settings


@click.command("forget")
@click.option("--phone", help="of the person, with the country's code")
@click.option("--user", "user_id", help="the person's user id, such as US.13491208655302741918")
@click.option("--dry-run", is_flag=True, help="say how much it would be, and delete nothing")
@click.option("--reason", help="recorded, as a ticket's number is; not the person's name")
@click.option("--who", default=user, help="recorded with the erasure; by default you")
@YES
@JSON
def command(
    phone: str | None,
    user_id: str | None,
    dry_run: bool,
    reason: str | None,
    who: str,
    yes: bool,
    as_json: bool,
) -> None:
    """Erase a person: events, jobs, attempts, replies, files, names, and what Redis has of them.

    Other people's messages stay, without the person's number. What Meta repeats is still known, by digests, and is not
    stored again; a new message of that person begins anew. Then both stores are read whole: exit status 1 names each
    place where something is left. It may be run again at any time.
    """
    if bool(phone) == bool(user_id):
        raise click.UsageError("give --phone or --user")
    load_handlers(settings().handler_modules, settings().handler_time_limit_seconds)  # for what is @on_erase
    with engine().connect() as connection:
        person = erasure.find(connection, "phone" if phone else "user", str(phone or user_id))
    planned = erasure.count(engine(), person)
    if dry_run:
        _print({"dry_run": True, **asdict(planned)}, f"would erase {_words(planned)}", as_json)
        return
    confirm(f"This erases {_words(planned)}, for good. Go on?", yes=yes)
    erased = erasure.erase(engine(), redis(), person, who, reason)
    with suppress(RedisError):  # or the next sweep does it
        dead_letters.reconcile(engine(), redis())
    left = erasure.look(engine(), redis(), person)
    _print({**asdict(erased), "left": [asdict(place) for place in left]}, f"erased {_words(erased)}", as_json)
    _explain(left, person)


def _words(erased: Erased) -> str:
    words = (
        f"{erased.events} events of {erased.conversations} conversations"
        f" ({erased.unfinished_jobs} jobs of theirs have not ended and never will), {erased.sends} replies"
    )
    if erased.files or erased.redacted or erased.messages:
        words += (
            f", {erased.files} files, {erased.messages} messages in Redis, {erased.redacted} rows redacted"
        )
    return words


def _explain(left: Sequence[Place], person: ErasedPerson) -> None:
    for place in left:
        whose = "run this again" if place.ours else "a table of your handlers: delete it there yourself"
        click.echo(f"{place.name} names the person still, in {place.rows} rows: {whose}", err=True)
    if left:
        raise SystemExit(1)
    if not person.conversations:
        click.echo("nobody of that name was known", err=True)


def _print(answer: dict[str, object], sentence: str, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        click.echo(sentence)
