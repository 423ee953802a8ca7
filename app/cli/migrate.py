"""``neverdrop migrate``: the tables, once for each release."""

import click

from app.stores import migrate as migrate_tables


@click.command()
@click.option(
    "--contract",
    is_flag=True,
    help="also drop what only the release before reads, once none of it runs any more",
)
def migrate(contract: bool) -> None:
    """Bring the database to the newest schema, beside processes of the release before; may be run again if stopped."""
    if migrate_tables(contract=contract):
        click.echo(
            "the database is up to date; once no process of the release before runs: neverdrop migrate --contract"
        )
    else:
        click.echo("the database is up to date")
