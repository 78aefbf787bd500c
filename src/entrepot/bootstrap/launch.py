"""Becomes another program that cannot outlive its parent: run as a script before `exec`, with the standard library only.

Usage: `launch.py PARENT_PID DEATH_SIGNAL UID GID PROGRAM [ARGUMENT ...]`; UID and GID are `-` to stay who we are.
A small program is more reliable than code between fork and exec in a parent that may have threads; and as root it drops
its rights itself, because the database's account may be unable to read the Python that runs this.
"""

import ctypes
import os
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int, death_signal: int) -> None:
    """Ask the kernel for `death_signal` when the parent dies (Linux; elsewhere the next start finds the orphan), or end now if it is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, death_signal, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit(0)


def main(arguments: list[str]) -> None:
    """Drop rights, tie the life of this process to its parent's and become the program."""
    parent_pid, death_signal, uid, gid, *command = arguments
    os.umask(0o077)
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    die_with_parent(int(parent_pid), int(death_signal))
    os.execv(command[0], command)  # noqa: S606 -- becoming the program is the purpose


if __name__ == "__main__":
    main(sys.argv[1:])
