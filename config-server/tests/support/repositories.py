"""Git repositories made for a test, without the git command."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pygit2
from pygit2.enums import FileMode, ObjectType

# A file's content; None deletes it.
Files = Mapping[str, str | bytes | None]


class ConfigRepository:
    """A bare repository that a test commits to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.git = pygit2.init_repository(str(path), bare=True, initial_head="main")

    def commit(self, files: Files, *, branch: str = "main", time: int = 1_700_000_000, message: str = "change") -> str:
        """Change these files on a branch, which is made if it is missing, and answer the commit."""
        reference = f"refs/heads/{branch}"
        parents = [self.git.references[reference].target] if reference in self.git.references else []
        index = pygit2.Index()
        if parents:
            index.read_tree(self.git[parents[0]].peel(pygit2.Tree))
        for path, content in files.items():
            if content is None:
                index.remove(path)
            else:
                data = content.encode() if isinstance(content, str) else content
                index.add(pygit2.IndexEntry(path, self.git.create_blob(data), FileMode.BLOB))
        author = pygit2.Signature("Golden", "golden@example.test", time, 0)
        tree = index.write_tree(self.git)
        return str(self.git.create_commit(reference, author, author, message, tree, parents))

    def add_link(self, path: str, target: str) -> str:
        """Commit a symbolic link to main."""
        index = pygit2.Index()
        parent = self.git.references["refs/heads/main"].target
        index.read_tree(self.git[parent].peel(pygit2.Tree))
        index.add(pygit2.IndexEntry(path, self.git.create_blob(target.encode()), FileMode.LINK))
        author = pygit2.Signature("Golden", "golden@example.test", 1_700_000_000, 0)
        tree = index.write_tree(self.git)
        return str(self.git.create_commit("refs/heads/main", author, author, "link", tree, [parent]))

    def replay(self, steps: list[dict[str, Any]]) -> None:
        """Build a recorded history; each commit is a minute after the one before, so that its id is the recorded."""
        branch, clock = "main", 1_700_000_000
        for step in steps:
            if "commit" in step:
                clock += 60
                files = {
                    path: content if isinstance(content, str) else base64.b64decode(content["base64"])
                    for path, content in step["files"].items()
                }
                self.commit(files, branch=branch, time=clock, message=step["commit"] + "\n")
            elif "branch" in step:
                branch = step["branch"]
                self.git.references.create(
                    f"refs/heads/{branch}", self.git.references[f"refs/heads/{step['at']}"].target
                )
            elif "switch" in step:
                branch = step["switch"]
            else:
                target = self.git.references[f"refs/heads/{branch}"].target
                if "message" in step:
                    tagger = pygit2.Signature("Golden", "golden@example.test", clock, 0)
                    self.git.create_tag(step["tag"], target, ObjectType.COMMIT, tagger, step["message"] + "\n")
                else:
                    self.git.references.create(f"refs/tags/{step['tag']}", target)
