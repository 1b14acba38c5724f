"""The tables, as the code reads and writes them. What changes here changes with a migration: a test compares the two.

Every row that is about somebody begins its key with the tenant, so that no query can forget it and still be fast.
Times are microseconds since 1970, as everywhere in ferroflux.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator, TypeEngine

DIGITS: Final = 24
SCALE: Final = 6

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s",
    }
)


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal that stays one: NUMERIC in PostgreSQL, text in SQLite, whose numbers are binary fractions."""

    impl = Numeric
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text where the database has no exact number."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(DIGITS + 2))
        return dialect.type_descriptor(Numeric(DIGITS, SCALE))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        """To the database."""
        if value is None or dialect.name != "sqlite":
            return value
        return format(value, "f")

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        """From the database, without the zeros that its scale adds."""
        del dialect
        return None if value is None else plain(Decimal(value))


def plain(value: Decimal) -> Decimal:
    """The same number without trailing zeros after the point, and never in powers of ten: `12.500` is 12.5, `100` 100."""
    whole = value.to_integral_value()
    return whole if value == whole else value.normalize()


def storable(text: str) -> str:
    """A text without the characters that no database takes; for sentences whose source is not ours."""
    return text.replace("\x00", " ").encode("utf-8", "replace").decode()


orders = Table(
    "orders",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("order_id", String(64), primary_key=True),
    Column("thread", String(64), nullable=False),
    Column("customer", String(128), nullable=False),
    Column("status", String(32), nullable=False),
    Column("currency", String(8), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
    Column("submitted_us", BigInteger, nullable=True),
    Index("ix_orders_tenant_created", "tenant", "created_us", "order_id"),
    Index("ix_orders_tenant_thread", "tenant", "thread"),
)

order_lines = Table(
    "order_lines",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("order_id", String(64), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("sku", String(256), nullable=False),
    Column("title", Text, nullable=False),
    Column("quantity", ExactDecimal, nullable=False),
    Column("unit", String(64), nullable=False),
    Column("pack", String(128), nullable=False),
    Column("price_shown", ExactDecimal, nullable=True),
    Column("price", ExactDecimal, nullable=True),
    Column("stock", ExactDecimal, nullable=True),
    ForeignKeyConstraint(["tenant", "order_id"], ["orders.tenant", "orders.order_id"], ondelete="CASCADE"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("order_id", String(64), primary_key=True),
    Column("payload", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("lease_owner", String(64), nullable=False),
    Column("lease_until_us", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("published_us", BigInteger, nullable=True),
    Column("set_apart_us", BigInteger, nullable=True),
    Column("reason", String(64), nullable=False, server_default=""),
    Column("detail", Text, nullable=False, server_default=""),
    Index("ix_outbox_pending", "published_us", "created_us"),
)

threads = Table(
    "threads",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("thread", String(64), primary_key=True),
    Column("customer", String(128), nullable=False),
    Column("turns", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("last_turn_us", BigInteger, nullable=False),
    Column("trimmed_us", BigInteger, nullable=False),
    Column("lease_owner", String(64), nullable=False),
    Column("lease_until_us", BigInteger, nullable=False),
    Index("ix_threads_last_turn", "last_turn_us"),
    Index("ix_threads_customer", "tenant", "customer"),
)

threads_apart = Table(
    "threads_apart",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("thread", String(64), primary_key=True),
    Column("stage", String(32), primary_key=True),
    Column("reason", String(64), nullable=False),
    Column("detail", Text, nullable=False),
    Column("times", Integer, nullable=False),
    Column("first_us", BigInteger, nullable=False),
    Column("last_us", BigInteger, nullable=False),
    Column("again_us", BigInteger, nullable=False),
    ForeignKeyConstraint(["tenant", "thread"], ["threads.tenant", "threads.thread"], ondelete="CASCADE"),
    Index("ix_threads_apart_last", "last_us"),
)

turns = Table(
    "turns",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("thread", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("idempotency_key", String(128), nullable=True),
    Column("request_digest", String(64), nullable=False),
    Column("message", Text, nullable=False),
    Column("reply", Text, nullable=False),
    Column("trace", Text, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("finished_us", BigInteger, nullable=False),
    ForeignKeyConstraint(["tenant", "thread"], ["threads.tenant", "threads.thread"], ondelete="CASCADE"),
    UniqueConstraint("tenant", "thread", "idempotency_key"),
)

model_usage = Table(
    "model_usage",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("model", String(128), primary_key=True),
    Column("calls", Integer, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost", ExactDecimal, nullable=False),
)

address_usage = Table(
    "address_usage",
    metadata,
    Column("tenant", String(64), primary_key=True),
    Column("day", String(10), primary_key=True),
    Column("address", String(64), primary_key=True),
    Column("tokens", BigInteger, nullable=False),
    Index("ix_address_usage_day", "day"),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", String(128), nullable=False),
)
