"""Counts."""

import sqlalchemy as sa
from alembic import op

from chassis.migrations import create_chassis_tables_1

revision = "0001"
down_revision = None


def upgrade() -> None:
    create_chassis_tables_1(op)
    op.create_table(
        "counts",
        sa.Column("id", sa.String, nullable=False),
        sa.Column("value", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_counts"),
    )
