"""Promise C2: `version` is a commit, and every value is of that commit, whatever is committed meanwhile."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from support.repositories import ConfigRepository
from support.server import Answer, RunningServer
from support.writer import NAMES, numbered

_COMMITS = 400
_READERS = 8


def test_c2_every_answer_is_of_one_commit_while_another_process_commits(
    repository: ConfigRepository, server: RunningServer
) -> None:
    number_of = {repository.commit(numbered(0)): 0}
    done = Event()

    def read() -> list[Answer]:
        answers = []
        while not done.is_set():
            answers.append(server.ask("/app/dev"))
        return answers

    with ThreadPoolExecutor(_READERS) as pool:
        reading = [pool.submit(read) for _ in range(_READERS)]
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
        answers = [answer for future in reading for answer in future.result()]

    number_of |= {commit: int(number) for commit, number in map(str.split, written.splitlines())}
    seen = set()
    for answer in answers:
        assert answer.status == 200
        number = number_of[answer.json()["version"]]
        assert [str(value) for value in answer.values().values()] == [str(number)] * len(NAMES)
        seen.add(number)
    assert len(seen) > 10  # else nothing was read while the commits were made


def test_what_is_asked_for_after_a_commit_is_no_older_than_it(
    repository: ConfigRepository, server: RunningServer
) -> None:
    for number in range(20):
        commit = repository.commit(numbered(number))

        assert server.ask("/app/dev").json()["version"] == commit
