"""Orders with their lines and outbox, threads with their turns, and what models cost."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    exact = sa.String(26) if op.get_bind().dialect.name == "sqlite" else sa.Numeric(24, 6)
    op.create_table(
        "orders",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("thread", sa.String(64), nullable=False),
        sa.Column("customer", sa.String(128), nullable=False),
        sa.Column("status", sa.String(32), nullable=False),
        sa.Column("currency", sa.String(8), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("updated_us", sa.BigInteger, nullable=False),
        sa.Column("submitted_us", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("tenant", "order_id", name="pk_orders"),
    )
    op.create_index("ix_orders_tenant_created", "orders", ["tenant", "created_us", "order_id"])
    op.create_index("ix_orders_tenant_thread", "orders", ["tenant", "thread"])
    op.create_table(
        "order_lines",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("sku", sa.String(256), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("quantity", exact, nullable=False),
        sa.Column("unit", sa.String(64), nullable=False),
        sa.Column("pack", sa.String(128), nullable=False),
        sa.Column("price_shown", exact, nullable=True),
        sa.Column("price", exact, nullable=True),
        sa.Column("stock", exact, nullable=True),
        sa.PrimaryKeyConstraint("tenant", "order_id", "position", name="pk_order_lines"),
        sa.ForeignKeyConstraint(
            ["tenant", "order_id"], ["orders.tenant", "orders.order_id"], name="fk_order_lines", ondelete="CASCADE"
        ),
    )
    op.create_table(
        "outbox",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("order_id", sa.String(64), nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("lease_owner", sa.String(64), nullable=False),
        sa.Column("lease_until_us", sa.BigInteger, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("published_us", sa.BigInteger, nullable=True),
        sa.PrimaryKeyConstraint("tenant", "order_id", name="pk_outbox"),
    )
    op.create_index("ix_outbox_pending", "outbox", ["published_us", "created_us"])
    op.create_table(
        "threads",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("thread", sa.String(64), nullable=False),
        sa.Column("customer", sa.String(128), nullable=False),
        sa.Column("turns", sa.Integer, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("last_turn_us", sa.BigInteger, nullable=False),
        sa.Column("trimmed_us", sa.BigInteger, nullable=False),
        sa.Column("lease_owner", sa.String(64), nullable=False),
        sa.Column("lease_until_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "thread", name="pk_threads"),
    )
    op.create_index("ix_threads_last_turn", "threads", ["last_turn_us"])
    op.create_index("ix_threads_customer", "threads", ["tenant", "customer"])
    op.create_table(
        "turns",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("thread", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("idempotency_key", sa.String(128), nullable=True),
        sa.Column("request_digest", sa.String(64), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("reply", sa.Text, nullable=False),
        sa.Column("trace", sa.Text, nullable=False),
        sa.Column("started_us", sa.BigInteger, nullable=False),
        sa.Column("finished_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "thread", "number", name="pk_turns"),
        sa.ForeignKeyConstraint(
            ["tenant", "thread"], ["threads.tenant", "threads.thread"], name="fk_turns", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("tenant", "thread", "idempotency_key", name="uq_turns_tenant_thread_idempotency_key"),
    )
    op.create_table(
        "model_usage",
        sa.Column("tenant", sa.String(64), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("model", sa.String(128), nullable=False),
        sa.Column("calls", sa.Integer, nullable=False),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("cost", exact, nullable=False),
        sa.PrimaryKeyConstraint("tenant", "day", "model", name="pk_model_usage"),
    )


def downgrade() -> None:
    """Drop them, and every order with them."""
    for name in ("model_usage", "turns", "threads", "outbox", "order_lines", "orders"):
        op.drop_table(name)
