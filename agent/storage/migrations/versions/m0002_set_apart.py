"""What is set apart: orders that the log will never take as they are, and what failed at a thread."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the outbox's columns, and the table of threads."""
    op.add_column("outbox", sa.Column("set_apart_us", sa.BigInteger, nullable=True))
    op.add_column("outbox", sa.Column("reason", sa.String(64), nullable=False, server_default=""))
    op.add_column("outbox", sa.Column("detail", sa.Text, nullable=False, server_default=""))
    op.create_table(
        "threads_apart",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("thread", sa.String(64), nullable=False),
        sa.Column("stage", sa.String(32), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("times", sa.Integer, nullable=False),
        sa.Column("first_us", sa.BigInteger, nullable=False),
        sa.Column("last_us", sa.BigInteger, nullable=False),
        sa.Column("again_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "thread", "stage", name="pk_threads_apart"),
        sa.ForeignKeyConstraint(
            ["tenant", "thread"], ["threads.tenant", "threads.thread"], name="fk_threads_apart", ondelete="CASCADE"
        ),
    )
    op.create_index("ix_threads_apart_last", "threads_apart", ["last_us"])


def downgrade() -> None:
    """Forget what was set apart; its orders are tried again, and its threads too."""
    op.drop_table("threads_apart")
    for name in ("detail", "reason", "set_apart_us"):
        with op.batch_alter_table("outbox") as outbox:
            outbox.drop_column(name)
