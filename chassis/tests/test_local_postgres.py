"""LocalPostgres: real servers, ended in every way that there is."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from chassis import postgres_programs
from chassis.local_postgres import LocalPostgres
from chassis.testing.waiting import wait_until


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that only its owner may enter."""
    folder = Path(tempfile.mkdtemp(prefix="local-postgres-"))
    yield folder
    if (link := folder / "data").is_symlink():  # where another user had to run it
        shutil.rmtree(link.resolve().parent)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """One server for the tests that leave it as it is."""
    server = LocalPostgres(tmp_path_factory.mktemp("shared") / "data", durable=False, die_with_parent=True)
    server.start()
    yield server
    server.stop()


async def test_a_database_belongs_to_its_role_and_is_closed_to_the_others(postgres: LocalPostgres) -> None:
    postgres.ensure_database("orders", "order-service", "it's\\secret")
    postgres.ensure_database("payments", "payment-service", "other")

    own = await asyncpg.connect(postgres.url("orders", "order-service", "it's\\secret"))
    await own.execute("CREATE TABLE placed (id int)")
    await own.close()

    with pytest.raises(OSError, match="permission denied for database"):
        postgres.run_sql(_CONNECT, ADDRESS=postgres.url("orders", "payment-service", "other"))


_CONNECT = "\\getenv address ADDRESS\n\\connect :address\n"


def test_a_wrong_password_is_refused(postgres: LocalPostgres) -> None:
    postgres.ensure_database("returns", "returns", "right")

    for role in ("returns", "postgres"):
        with pytest.raises(OSError, match="password authentication failed"):
            postgres.run_sql(_CONNECT, ADDRESS=postgres.url("postgres", role, "wrong"))


async def test_ensuring_a_database_again_keeps_its_rows_and_takes_the_new_password(postgres: LocalPostgres) -> None:
    postgres.ensure_database("kept", "kept", "first")
    own = await asyncpg.connect(postgres.url("kept", "kept", "first"))
    await own.execute("CREATE TABLE placed AS SELECT 7 AS id")
    await own.close()

    postgres.ensure_database("kept", "kept", "second")

    own = await asyncpg.connect(postgres.url("kept", "kept", "second"))
    assert await own.fetchval("SELECT id FROM placed") == 7
    await own.close()


def test_a_script_that_postgresql_refuses_is_told_with_its_reason(postgres: LocalPostgres) -> None:
    with pytest.raises(OSError, match=r"PostgreSQL refused: .*syntax error"):
        postgres.run_sql("SELEC 1;")


def test_the_superusers_password_is_for_its_owner_only(postgres: LocalPostgres) -> None:
    kept = postgres.data_dir.with_name("data.password")

    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert len(kept.read_text()) >= 32


def test_a_second_start_says_that_it_runs_already(postgres: LocalPostgres) -> None:
    with pytest.raises(OSError, match=f"runs in .* already \\(pid {postgres.pid()}\\)"):
        LocalPostgres(postgres.data_dir).start()


@pytest.mark.parametrize("durable", [True, False])
async def test_after_kill_9_of_every_process_it_starts_again_with_every_committed_row(
    place: Path, durable: bool
) -> None:
    postgres = LocalPostgres(place / "data", durable=durable, die_with_parent=True)
    postgres.start()
    client = await asyncpg.connect(postgres.url())
    await client.execute("CREATE TABLE placed (id int)")
    await client.execute("INSERT INTO placed SELECT generate_series(1, 1000)")
    server = postgres.pid()
    assert server is not None

    for pid in (server, *_children_of(server)):
        os.kill(pid, signal.SIGKILL)
    client.terminate()
    wait_until(lambda: postgres.pid() is None, "the killed server is gone")
    assert (place / "data" / "postmaster.pid").exists()
    postgres.start()

    client = await asyncpg.connect(postgres.url())
    assert await client.fetchval("SELECT count(*) FROM placed") == 1000
    await client.close()
    postgres.stop()


def test_a_stale_pid_file_with_the_number_of_a_stranger_harms_neither(place: Path) -> None:
    postgres = LocalPostgres(place / "data", durable=False, die_with_parent=True)
    postgres.start()
    pid_file = place / "data" / "postmaster.pid"
    lines = pid_file.read_text().splitlines()
    postgres.stop()
    stranger = subprocess.Popen(["sleep", "60"])
    pid_file.write_text("\n".join([str(stranger.pid), *lines[1:]]))

    postgres.stop()
    postgres.start()

    assert stranger.poll() is None
    assert postgres.pid() not in (None, stranger.pid)
    postgres.stop()
    stranger.kill()
    stranger.wait()


def test_a_server_is_stopped_by_who_did_not_start_it(place: Path) -> None:
    postgres = LocalPostgres(place / "data", durable=False, die_with_parent=True)
    postgres.start()
    another = LocalPostgres(place / "data")
    assert another.pid() == postgres.pid()

    another.stop()

    assert postgres.pid() is None
    postgres.stop()


def test_it_ends_when_the_process_that_started_it_is_killed(place: Path) -> None:
    parent = subprocess.Popen([sys.executable, "-c", _START_AND_WAIT, str(place / "data")], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"started\n"
    postgres = LocalPostgres(place / "data")
    assert postgres.pid() is not None

    parent.kill()
    parent.communicate()

    wait_until(lambda: postgres.pid() is None, "the server has ended")


_START_AND_WAIT = """
import sys, time
from pathlib import Path
from chassis.local_postgres import LocalPostgres
from chassis.testing.waiting import wait_until
LocalPostgres(Path(sys.argv[1]), durable=False, die_with_parent=True).start()
print("started", flush=True)
time.sleep(60)
"""


def test_it_runs_for_an_ordinary_user_too(place: Path) -> None:
    # Whoever is not root has run all of these tests as an ordinary user already.
    as_user_1000 = ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []
    parent = subprocess.Popen(
        [*as_user_1000, sys.executable, "-c", _START_AND_WAIT, str(place / "data")], stdout=subprocess.PIPE
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"started\n"

    parent.kill()
    parent.communicate()
    wait_until(lambda: LocalPostgres(place / "data").pid() is None, "the server has ended")


def test_where_user_namespaces_are_refused_root_runs_it_as_another_user_and_keeps_the_rows(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_programs, "user_namespaces_work", lambda: False)
    postgres = LocalPostgres(place / "data", durable=False, die_with_parent=True)
    postgres.start()
    pid = postgres.pid()
    assert pid is not None
    assert Path(f"/proc/{pid}").stat().st_uid != 0  # an ordinary user is one anyway
    postgres.run_sql("CREATE TABLE placed AS SELECT 7 AS id")
    postgres.stop()

    postgres.start()

    assert postgres.run_sql("SELECT id FROM placed").strip() == "7"
    postgres.stop()


def test_a_start_that_fails_says_why_in_one_sentence(postgres: LocalPostgres, place: Path) -> None:
    second = LocalPostgres(place / "second", port=postgres.port, durable=False)

    with pytest.raises(OSError, match=r"PostgreSQL does not start: .*Address already in use") as failure:
        second.start()

    assert "\n" not in str(failure.value)
    assert second.pid() is None


def test_a_place_that_cannot_be_written_is_told(place: Path) -> None:
    (place / "occupied").write_text("a file, not a folder")

    with pytest.raises(OSError, match="occupied"):
        LocalPostgres(place / "occupied" / "data").start()


def test_a_folder_without_postgresqls_programs_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PG_BIN", str(place))

    with pytest.raises(OSError, match="holds no postgres and initdb"):
        LocalPostgres(place / "data").start()


@pytest.mark.parametrize("installed", sorted(Path("/usr/lib/postgresql").glob("*/bin")), ids=lambda p: p.parent.name)
def test_the_distributions_postgresql_does_as_well(
    installed: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PG_BIN", str(installed))
    postgres = LocalPostgres(place / "data", durable=False, die_with_parent=True)

    postgres.start()

    assert postgres.run_sql("SHOW server_version").startswith(installed.parent.name)
    postgres.stop()


def _children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
