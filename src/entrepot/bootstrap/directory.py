"""The data directory has one program at a time; a lock that the kernel releases, even after kill -9, says which."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from entrepot.base.errors import ConflictError, UnavailableError
from entrepot.bootstrap.account import make_directory


class DirectoryInUseError(ConflictError):
    """Another program uses the data directory; stop it, or choose another directory."""


class DirectoryNotWritableError(UnavailableError):
    """The data directory cannot be created or written; the operator chooses another one or grants the right."""


@contextmanager
def locked_directory(directory: Path) -> Generator[None]:
    """Hold the data directory for this program; raise `DirectoryInUseError` when another one holds it."""
    try:
        make_directory(directory)
        descriptor = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise DirectoryNotWritableError("data", str(directory), f"Give a --data you may write to ({error.strerror}).") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "?"
            remedy = f"The program with the process number {holder} uses it: stop that one, or give another --data."
            raise DirectoryInUseError("data", str(directory), remedy) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
