"""`python writer.py REPOSITORY COUNT`: commits as fast as it can, and prints each commit with its number."""

import sys
from pathlib import Path

from support.repositories import ConfigRepository, Files

NAMES = ("application.yml", "app.yml", "app-dev.properties")


def numbered(number: int) -> Files:
    """Files that all say the same number, so that a mixture of commits shows."""
    return {name: f"{name.replace('.', '-')}: {number}\n" for name in NAMES}


if __name__ == "__main__":
    repository = ConfigRepository(Path(sys.argv[1]))
    for number in range(1, int(sys.argv[2])):
        print(repository.commit(numbered(number)), number)  # noqa: T201 - this is what it is for
