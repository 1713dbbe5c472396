"""Promise C2: `version` is a commit, and every value is of that commit, whatever is committed meanwhile."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from support.repositories import ConfigRepository
from support.server import Answer, RunningServer
from support.writer import NAMES, numbered

_COMMITS = 200
_READERS = 50
_PATHS = ("/app/dev", "/app/dev/main", "/app/dev,prod")


def test_c2_every_answer_is_of_one_commit_while_another_process_commits(
    repository: ConfigRepository, server: RunningServer
) -> None:
    number_of = {repository.commit(numbered(0)): 0}
    done = Event()

    def read(path: str) -> list[Answer]:
        answers = []
        while not done.is_set():
            answers.append(server.ask(path))
        return answers

    with ThreadPoolExecutor(_READERS) as pool:
        reading = [pool.submit(read, _PATHS[reader % len(_PATHS)]) for reader in range(_READERS)]
        try:
            # In a process of its own, so that commits land in the middle of requests.
            written = subprocess.run(
                [sys.executable, "-m", "support.writer", str(repository.path), str(_COMMITS)],
                cwd=Path(__file__).parent,
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        finally:
            done.set()
        answers_of_readers = [future.result() for future in reading]

    number_of |= {commit: int(number) for commit, number in map(str.split, written.splitlines())}
    assert len(number_of) == _COMMITS
    seen = set()
    for answers in answers_of_readers:
        numbers = []
        for answer in answers:
            assert answer.status == 200
            number = number_of[answer.json()["version"]]
            assert [str(value) for value in answer.values().values()] == [str(number)] * len(NAMES)
            numbers.append(number)
        assert numbers == sorted(numbers)  # nobody is sent back to an older commit
        seen.update(numbers)
    assert len(seen) > 20  # else nothing was read while the commits were made


def test_what_is_asked_for_after_a_commit_is_no_older_than_it(
    repository: ConfigRepository, server: RunningServer
) -> None:
    for number in range(20):
        commit = repository.commit(numbered(number))

        assert server.ask("/app/dev").json()["version"] == commit
