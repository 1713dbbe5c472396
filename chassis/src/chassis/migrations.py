"""Migrations: a service's alembic scripts, run at start under an advisory lock, and the chassis' own tables in them."""

import importlib
from pathlib import Path
from types import ModuleType

import sqlalchemy as sa
from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, MetaData
from sqlalchemy.dialects.postgresql import JSONB

from .tables import ChassisTable

# One number for all services: each has a database of its own, and PostgreSQL's advisory locks are per database.
_LOCK = 0x666C6F74


def upgrade(connection: Connection, package: str) -> None:
    """Bring the database to the newest schema; concurrent starts wait for each other.

    `package` is the service's; its scripts lie in `migrations/` inside it.
    """
    connection.execute(sa.text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(_scripts_of(package)))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def run_environment(metadata: MetaData) -> None:
    """The whole of a service's `migrations/env.py`: runs the scripts on the connection that `upgrade` was given."""
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=[metadata, ChassisTable.metadata],
        compare_type=True,
        compare_server_default=False,
    )
    with context.begin_transaction():
        context.run_migrations()


def create_chassis_tables_1(op: ModuleType) -> None:
    """Outbox, inbox and idempotency keys as of chassis 0.1; `op` is alembic's.

    Later changes come as functions with the next number.
    """
    op.create_table(
        "outbox",
        sa.Column("sequence", sa.BigInteger, sa.Identity(always=True), primary_key=True),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("topic", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("headers", JSONB, nullable=False),
        sa.Column("payload", sa.LargeBinary, nullable=False),
        _now("created_at"),
        sa.PrimaryKeyConstraint("sequence", name="pk_outbox"),
    )
    # The relay sleeps on this channel, whoever wrote the row; one notice for each statement, not for each row.
    op.execute(
        "CREATE FUNCTION notify_outbox() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_notify('outbox', ''); RETURN NULL; END $$"
    )
    op.execute(
        "CREATE TRIGGER outbox_written AFTER INSERT ON outbox FOR EACH STATEMENT EXECUTE FUNCTION notify_outbox()"
    )
    op.create_table(
        "inbox",
        sa.Column("id", sa.Uuid, nullable=False),
        _now("handled_at"),
        sa.PrimaryKeyConstraint("id", name="pk_inbox"),
    )
    op.create_index("ix_inbox_handled_at", "inbox", ["handled_at"])
    op.create_table(
        "idempotency_keys",
        sa.Column("scope", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("fingerprint", sa.String, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("headers", JSONB, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        _now("created_at"),
        sa.PrimaryKeyConstraint("scope", "key", name="pk_idempotency_keys"),
    )
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def _now(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.DateTime(timezone=True), nullable=False, server_default=sa.func.now())


def _scripts_of(package: str) -> Path:
    module_file = importlib.import_module(package).__file__
    assert module_file is not None
    return Path(module_file).parent / "migrations"
