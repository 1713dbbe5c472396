"""What the sandbox was told to charge and refund, in SQLite. Methods block: call them in threads."""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

from chassis.ids import uuid7

_SCHEMA = """
CREATE TABLE IF NOT EXISTS charges (
    id TEXT PRIMARY KEY,
    idempotency_key TEXT NOT NULL UNIQUE,
    amount INTEGER NOT NULL CHECK (amount > 0),
    currency TEXT NOT NULL,
    payment_method TEXT NOT NULL,
    reference TEXT NOT NULL,
    webhook_url TEXT,
    status TEXT NOT NULL,
    failure_reason TEXT,
    refunded_amount INTEGER NOT NULL DEFAULT 0 CHECK (refunded_amount BETWEEN 0 AND amount),
    created_at REAL NOT NULL,
    notify_at REAL
) STRICT;
CREATE INDEX IF NOT EXISTS charges_to_notify ON charges (notify_at) WHERE notify_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS charges_by_reference ON charges (reference);
CREATE TABLE IF NOT EXISTS refunds (
    id TEXT PRIMARY KEY,
    idempotency_key TEXT NOT NULL UNIQUE,
    charge_id TEXT NOT NULL REFERENCES charges (id),
    amount INTEGER NOT NULL CHECK (amount > 0),
    created_at REAL NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS voids (idempotency_key TEXT PRIMARY KEY) STRICT;
CREATE TABLE IF NOT EXISTS calls (idempotency_key TEXT PRIMARY KEY, count INTEGER NOT NULL) STRICT;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """A charge; `notify_at` (unix seconds) is when its webhook is due, None without one or once it was taken."""

    id: str
    idempotency_key: str
    amount: int
    currency: str
    payment_method: str
    reference: str
    webhook_url: str | None
    status: str
    failure_reason: str | None
    refunded_amount: int
    created_at: float
    notify_at: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund:
    id: str
    idempotency_key: str
    charge_id: str
    amount: int
    created_at: float


@dataclass(frozen=True, slots=True)
class Total:
    """What was charged with success, and what of it was refunded, in one currency."""

    currency: str
    charged: int
    refunded: int


class _ExactSum:
    """SQLite's own sum fails past 2^63, which a few large charges reach."""

    def __init__(self) -> None:
        self._sum = 0

    def step(self, value: int) -> None:
        self._sum += value

    def finalize(self) -> str:
        return str(self._sum)


_CHARGE = ", ".join(field.name for field in fields(Charge))
_REFUND = ", ".join(field.name for field in fields(Refund))


class SandboxStore:
    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(folder / "sandbox.sqlite3", check_same_thread=False, isolation_level=None)
        # In WAL mode, NORMAL loses nothing when the process is killed; only the machine's crash could.
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        self._connection.executescript(_SCHEMA)
        self._connection.create_aggregate("exact_sum", 1, _ExactSum)  # type: ignore[arg-type]  # typeshed wants more

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def count_call(self, idempotency_key: str) -> int:
        """How often this key was asked for, this time included."""
        with self._transaction() as connection:
            row = connection.execute(
                "INSERT INTO calls VALUES (?, 1) ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count",
                [idempotency_key],
            ).fetchone()
        return int(row[0])

    def add_charge(self, charge: Charge) -> tuple[Charge | None, bool]:
        """Keep a charge and answer it, or the one that has its key already, and whether it is new; None if voided."""
        with self._transaction() as connection:
            if connection.execute("SELECT 1 FROM voids WHERE idempotency_key = ?", [charge.idempotency_key]).fetchone():
                return None, False
            places = ", ".join(f":{field.name}" for field in fields(Charge))
            values = {field.name: getattr(charge, field.name) for field in fields(Charge)}
            added = connection.execute(
                f"INSERT INTO charges ({_CHARGE}) VALUES ({places}) ON CONFLICT (idempotency_key) DO NOTHING",  # noqa: S608 - names from the class above
                values,
            ).rowcount
            kept = self._charges(connection, "idempotency_key = ?", charge.idempotency_key)[0]
        return kept, bool(added)

    def void(self, idempotency_key: str) -> Charge | None:
        """The charge with this key; if there is none, there never will be."""
        with self._transaction() as connection:
            kept = self._charges(connection, "idempotency_key = ?", idempotency_key)
            if not kept:
                connection.execute("INSERT INTO voids VALUES (?) ON CONFLICT DO NOTHING", [idempotency_key])
        return next(iter(kept), None)

    def settle(self, charge_id: str) -> None:
        """A pending charge succeeds."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE charges SET status = 'succeeded' WHERE id = ? AND status = 'pending'", [charge_id]
            )

    def set_notify_at(self, charge_id: str, notify_at: float | None) -> None:
        with self._transaction() as connection:
            connection.execute("UPDATE charges SET notify_at = ? WHERE id = ?", [notify_at, charge_id])

    def to_notify(self, now: float) -> Sequence[Charge]:
        with self._transaction() as connection:
            return self._charges(connection, "notify_at <= ? ORDER BY notify_at LIMIT 100", now)

    def charge(self, charge_id: str) -> Charge | None:
        with self._transaction() as connection:
            return next(iter(self._charges(connection, "id = ?", charge_id)), None)

    def charges(
        self, *, idempotency_key: str | None, reference: str | None, after: str, limit: int
    ) -> Sequence[Charge]:
        """In the order they were made (ids sort by time), those after the charge `after`."""
        with self._transaction() as connection:
            return self._charges(
                connection,
                "(?1 IS NULL OR idempotency_key = ?1) AND (?2 IS NULL OR reference = ?2) AND id > ?3"
                " ORDER BY id LIMIT ?4",
                idempotency_key,
                reference,
                after,
                limit,
            )

    def totals(self) -> Sequence[Total]:
        """For each currency, in its order."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT currency, exact_sum(amount), exact_sum(refunded_amount) FROM charges"
                " WHERE status = 'succeeded' GROUP BY currency ORDER BY currency"
            ).fetchall()
        return [Total(currency, int(charged), int(refunded)) for currency, charged, refunded in rows]

    def refund(self, refund: Refund) -> Refund | None:
        """Keep a refund and answer it, or the one that has its key already; None if the charge has too little left."""
        with self._transaction() as connection:
            kept = connection.execute(
                f"SELECT {_REFUND} FROM refunds WHERE idempotency_key = ?",  # noqa: S608 - names from the class above
                [refund.idempotency_key],
            ).fetchone()
            if kept is not None:
                return Refund(**dict(zip((field.name for field in fields(Refund)), kept, strict=True)))
            taken = connection.execute(
                "UPDATE charges SET refunded_amount = refunded_amount + :amount"
                " WHERE id = :charge_id AND status = 'succeeded' AND refunded_amount + :amount <= amount",
                {"amount": refund.amount, "charge_id": refund.charge_id},
            ).rowcount
            if not taken:
                return None
            connection.execute(
                f"INSERT INTO refunds ({_REFUND}) VALUES (?, ?, ?, ?, ?)",  # noqa: S608 - names from the class above
                [getattr(refund, field.name) for field in fields(Refund)],
            )
        return refund

    def _charges(self, connection: sqlite3.Connection, where: str, *values: object) -> list[Charge]:
        rows = connection.execute(f"SELECT {_CHARGE} FROM charges WHERE {where}", values).fetchall()  # noqa: S608 - from here
        names = [field.name for field in fields(Charge)]
        return [Charge(**dict(zip(names, row, strict=True))) for row in rows]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")


def new_id(prefix: str) -> str:
    """An id that says what it is of, and sorts by time."""
    return f"{prefix}_{uuid7().hex}"
