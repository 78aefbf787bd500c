"""Keeps one throw-away PostgreSQL for a run of pytest, however many workers it has and however they end.

Usage: `cluster_keeper.py DIRECTORY USERS_FILE`. Every worker holds a shared lock on the users file; the kernel lets go of it even after
kill -9. The keeper waits for the exclusive lock, which it gets when the last worker has gone, and removes everything.
"""

import fcntl
import shutil
import sys
from pathlib import Path

from entrepot.bootstrap.postgres import Durability, await_postgres, open_cluster, start_postgres, stop_postgres

READY = "url"


def main(directory: Path, users: Path) -> None:
    try:
        cluster = open_cluster(directory, Durability.THROW_AWAY)
        process = start_postgres(cluster)
        try:
            await_postgres(cluster, process)
            unfinished = directory / "url.new"
            unfinished.write_text(cluster.url("postgres"))
            unfinished.rename(directory / READY)
            with users.open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
        finally:
            stop_postgres(process)
            shutil.rmtree(cluster.sockets, ignore_errors=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        users.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
