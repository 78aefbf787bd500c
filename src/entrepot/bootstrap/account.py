"""Who PostgreSQL runs as: the person who starts Entrepot, or an account without rights when that person is root."""

import os
import pwd
import shutil
import stat
import subprocess
from pathlib import Path
from typing import Final

from msgspec import Struct

from entrepot.base.errors import UnavailableError

ACCOUNT_NAME: Final = "entrepot"
_FIRST_FREE_UID: Final = 61_200


class NoAccountError(UnavailableError):
    """PostgreSQL refuses to run as root and no account without rights could be used; the operator creates one."""


class DirectoryNotReachableError(UnavailableError):
    """The account that runs the database cannot enter the directory; the operator chooses another one."""


class ForeignDirectoryError(UnavailableError):
    """The data directory belongs to somebody else; the operator starts Entrepot as its owner."""


class Account(Struct, frozen=True):
    """The operating system's user and group that own the database."""

    uid: int
    gid: int


def is_root() -> bool:
    """Tell whether this process runs as root."""
    return os.geteuid() == 0


def account_of(data: Path) -> Account:
    """Return the account that runs the database in `data`: ourselves, or as root the directory's owner, or a new account."""
    owner = data.stat() if data.exists() else None
    if not is_root():
        if owner is not None and owner.st_uid != os.geteuid():
            raise ForeignDirectoryError("data", str(data), f"Start Entrepot as the user with the number {owner.st_uid}, or give another --data.")
        return Account(os.geteuid(), os.getegid())
    if owner is not None and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid)
    return _named_account() or _unused_account()


def _named_account() -> Account | None:
    """Return the account `entrepot`, created if the system has `useradd`."""
    if (found := _look_up(ACCOUNT_NAME)) is not None:
        return found
    useradd = shutil.which("useradd", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if useradd is None:
        return None
    nowhere = "/nonexistent"
    command = [useradd, "--system", "--no-create-home", "--home-dir", nowhere, "--shell", "/usr/sbin/nologin", "--user-group", ACCOUNT_NAME]
    subprocess.run(command, check=False, capture_output=True)  # noqa: S603 -- constants only
    return _look_up(ACCOUNT_NAME)


def _look_up(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(entry.pw_uid, entry.pw_gid) if entry.pw_uid != 0 else None


def _unused_account() -> Account:
    """Return a number that no user has; the owner of the data directory remembers it from then on."""
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    uid = next(number for number in range(_FIRST_FREE_UID, 65_000) if number not in taken)
    return Account(uid, uid)


def initialising_account(account: Account) -> Account:
    """Return an account that has a name, which `initdb` insists on: the account itself or any other one without rights."""
    entries = sorted(pwd.getpwall(), key=lambda entry: (entry.pw_uid != account.uid, entry.pw_name != "nobody", entry.pw_uid))
    for entry in entries:
        if entry.pw_uid != 0:
            return Account(entry.pw_uid, entry.pw_gid)
    raise NoAccountError("account", ACCOUNT_NAME, "Create a user named entrepot, or set DATABASE_URL to a PostgreSQL that already runs.")


def require_reachable(directory: Path, account: Account) -> None:
    """Refuse a directory below one that the account may not enter, such as a directory in root's home."""
    for parent in directory.resolve().parents:
        mode = parent.stat()
        may_enter = mode.st_mode & (stat.S_IXUSR if mode.st_uid == account.uid else stat.S_IXOTH)
        if not may_enter:
            remedy = f"{parent} is closed to the database's account (PostgreSQL does not run as root). Give a --data outside it, such as /var/lib/entrepot."
            raise DirectoryNotReachableError("data", str(directory), remedy)


def make_directory(directory: Path) -> None:
    """Create a directory and what is missing above it; as root others may pass through, whatever root's file mask says."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    directory.mkdir(parents=True, exist_ok=True)
    for path in missing if is_root() else ():
        path.chmod(0o755)


def give_directory(directory: Path, account: Account) -> None:
    """Create a directory that only the account may enter."""
    directory.mkdir(exist_ok=True)
    if is_root():
        os.chown(directory, account.uid, account.gid)
    elif directory.stat().st_uid != account.uid:
        raise ForeignDirectoryError("directory", str(directory), "It belongs to somebody else; remove it or give another --data.")
    directory.chmod(0o700)


def give_tree(directory: Path, account: Account) -> None:
    """Hand a directory with all it contains to the account."""
    for folder, _, names in os.walk(directory):
        os.chown(folder, account.uid, account.gid)
        for name in names:
            os.chown(Path(folder, name), account.uid, account.gid)
