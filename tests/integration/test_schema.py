"""The migrations make what the models describe."""

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from app.connections import engine
from app.handlers import echo as echo
from app.models import Base
from config.settings import Settings


def test_the_migrations_make_the_tables_of_the_models(settings: Settings) -> None:
    with engine().connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
