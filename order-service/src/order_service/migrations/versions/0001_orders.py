"""Orders and their timelines."""

import sqlalchemy as sa
from alembic import op
from chassis.migrations import create_chassis_tables_1
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_chassis_tables_1(op)
    op.create_table(
        "orders",
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("customer_id", sa.Uuid, nullable=False),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("status_reason", sa.String),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("total", sa.BigInteger),
        sa.Column("payment_method", sa.String, nullable=False),
        sa.Column("lines", JSONB, nullable=False),
        sa.Column("carrier", sa.String),
        sa.Column("tracking_number", sa.String),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deadline", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_orders"),
    )
    op.create_index("ix_orders_customer_id_id", "orders", ["customer_id", "id"])
    op.create_index(
        "ix_orders_under_way",
        "orders",
        ["deadline"],
        postgresql_where=sa.text("status IN ('PLACED', 'RESERVED')"),
    )
    op.create_table(
        "timeline",
        sa.Column("event_id", sa.Uuid, nullable=False),
        sa.Column("order_id", sa.Uuid, nullable=False),
        sa.Column("time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("source", sa.String, nullable=False),
        sa.Column("causation_id", sa.Uuid),
        sa.Column("trace_id", sa.String),
        sa.Column("data", JSONB, nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_timeline"),
    )
    op.create_index("ix_timeline_order_id_time", "timeline", ["order_id", "time"])
