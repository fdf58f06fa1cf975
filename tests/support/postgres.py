"""A real PostgreSQL server for the tests, where one is installed: in a temporary folder, on a Unix socket alone."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import URL

_OPTIONS = "-c listen_addresses='' -c fsync=off -c full_page_writes=off -c shared_buffers=16MB -c max_connections=20"
# Sorted as English people sort: a comparison that forgets to ask for code points is found out.
_ENGLISH = "CREATE DATABASE clarion TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
_PLAIN = "CREATE DATABASE clarion TEMPLATE template0 ENCODING 'UTF8'"
# Our end closes the input that `cat` reads, whatever it was that ended us.
_AT_OUR_END = 'cat; "$0" stop -D "$1" -m immediate -s 2>&-; rm -rf "$2"'


def find_postgres() -> Path | None:
    """The folder of PostgreSQL's programs: of the one on PATH, else of the newest that Debian has put aside."""
    on_path = shutil.which("initdb")
    if on_path is not None and shutil.which("pg_ctl") is not None:
        return Path(on_path).parent
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda folder: float(folder.parent.name), default=None)


@contextmanager
def running_postgres(programs: Path) -> Iterator[Engine]:
    """A server with an empty database, and an engine on it. It is stopped and forgotten at the end, also when the tests
    are killed."""
    folder = Path(tempfile.mkdtemp(prefix="clarion-pg-", dir="/tmp"))  # the path of a socket has at most 107 bytes
    as_user = _unprivileged()
    if as_user is not None:
        shutil.chown(folder, as_user)
    data = folder / "data"
    unprivileged: dict[str, Any] = {"user": as_user, "extra_groups": None if as_user is None else []}

    def run(program: str, *arguments: object) -> None:
        done = subprocess.run(
            [programs / program, "-D", data, *arguments], cwd=folder, env=_environment(), **unprivileged, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{program}: {done.stderr}\n{_log(folder)}"

    end = [programs / "pg_ctl", data, folder]
    with subprocess.Popen(
        ["sh", "-c", _AT_OUR_END, *end], cwd="/", stdin=subprocess.PIPE, start_new_session=True, **unprivileged
    ):
        run("initdb", "--username=clarion", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        run("pg_ctl", "start", "--wait", "--silent", "--log", folder / "log", "--options", f"{_OPTIONS} -k {folder}")
        _make_database(folder)
        engine = create_engine(_url(folder, "clarion"))
        yield engine
        engine.dispose()


def _unprivileged() -> str | None:
    """Whom to run the server as: it refuses to be root. None: as we are."""
    if os.geteuid() != 0:
        return None
    names = {user.pw_name for user in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"}


def _log(folder: Path) -> str:
    path = folder / "log"
    return path.read_text() if path.exists() else ""


def _url(folder: Path, database: str) -> URL:
    return URL.create("postgresql+psycopg", username="clarion", database=database, query={"host": str(folder)})


def _make_database(folder: Path) -> None:
    engine = create_engine(_url(folder, "postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        has_icu = connection.execute(text("SELECT 1 FROM pg_collation WHERE collname = 'en-US-x-icu'")).first()
        newer = connection.dialect.server_version_info >= (15,)
        connection.execute(text(_ENGLISH if has_icu and newer else _PLAIN))
    engine.dispose()
