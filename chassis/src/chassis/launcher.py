"""Starts a program that ends when the process that started it does, whatever ended that: PR_SET_PDEATHSIG on Linux.

It is a program of its own (this file, run by an isolated Python) rather than a `preexec_fn`, which may deadlock in a
process with threads. Where there is no such signal (macOS) the program is just started.
"""

import json
import os
import signal
import sys
from typing import Any

NO_USER_NAMESPACE = 76
"""The exit code of a launch for which the kernel refused the user namespace."""

_PR_SET_PDEATHSIG = 1
_CLONE_NEWUSER = 0x10000000


def launch_command(
    program: list[str],
    *,
    die_with_parent: signal.Signals | None = signal.SIGKILL,
    in_user_namespace: bool = False,
    user_id: int | None = None,
    group_id: int | None = None,
) -> list[str]:
    """The command for `subprocess.Popen`. Parent is the *thread* that starts it: the program ends with that thread.

    Args:
        program: an absolute path and the arguments.
        die_with_parent: the signal that the program gets when its parent has ended; none: it lives on.
        in_user_namespace: root outside is the ordinary user 1 to the program, with root's files still its own.
        user_id: the user to become, for root.
        group_id: the group to become, for root.
    """
    options = {
        "parent": os.getpid(),
        "signal": die_with_parent,
        "namespace": in_user_namespace,
        "user": user_id,
        "group": group_id,
    }
    return [sys.executable, "-I", "-S", __file__, json.dumps(options), *program]


def _launch(options: dict[str, Any], program: list[str]) -> None:
    import ctypes  # here: fleet and tests import this module for `launch_command` alone

    libc = ctypes.CDLL(None)  # before the identity changes: another user may not be able to read this Python's files
    if options["namespace"]:
        _enter_user_namespace(libc)
    if options["group"] is not None:
        os.setgroups([])
        os.setgid(options["group"])
    if options["user"] is not None:
        os.setuid(options["user"])
    # After the identity: the kernel forgets the signal when credentials change (prctl(2)).
    if options["signal"] is not None and sys.platform == "linux":
        libc.prctl(_PR_SET_PDEATHSIG, options["signal"], 0, 0, 0)
        if os.getppid() != options["parent"]:
            sys.exit(1)  # it ended before the signal was asked for
    for ignored_by_python in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(ignored_by_python, signal.SIG_DFL)
    os.execv(program[0], program)  # noqa: S606 - the program is the caller's own


def _enter_user_namespace(libc: Any) -> None:
    user, group = os.geteuid(), os.getegid()
    try:
        if libc.unshare(_CLONE_NEWUSER) != 0:
            sys.exit(NO_USER_NAMESPACE)
        # user_namespaces(7): the group map may only be written once setgroups(2) is denied for good.
        for name, content in (("setgroups", "deny"), ("uid_map", f"1 {user} 1"), ("gid_map", f"1 {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123 - pathlib would double the start time
                file.write(content)
    except (OSError, AttributeError):
        sys.exit(NO_USER_NAMESPACE)


if __name__ == "__main__":
    _launch(json.loads(sys.argv[1]), sys.argv[2:])
