"""Changes nothing.

What the release before needs is dropped by ``neverdrop migrate --contract``, which is no revision: later ones must not
wait until none of that release's processes runs. See ``app.stores.migrate``.
"""

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
