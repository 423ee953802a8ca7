"""The migrations make what the models describe."""

import importlib

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from app.handlers import registration as registry
from app.stores.connections import engine
from app.stores.models import Base
from config.settings import Settings


def test_the_migrations_make_the_tables_of_the_models(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "registry", registry.Registry())  # other tests have handlers of their own
    importlib.import_module("app.handlers.echo")
    with engine().connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
