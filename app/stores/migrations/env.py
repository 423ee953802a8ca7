"""Alembic's entry point: runs the migrations on the connection that ``app.stores.migrate`` opened."""

from alembic import context

from app.stores.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
