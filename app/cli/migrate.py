"""``neverdrop migrate``: the tables, once for each release."""

import click

from app.stores import migrate as migrate_tables


@click.command()
def migrate() -> None:
    """Bring the database to the newest schema."""
    migrate_tables()
    click.echo("the database is up to date")
