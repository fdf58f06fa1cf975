"""One daemon per database: who starts alone may take over what the one before left open."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scheduler.domain.errors import OperatorError


@contextmanager
def only_daemon(database: Path) -> Iterator[None]:
    """Hold the daemon's lock beside the database. The kernel frees it when the process ends, however it ends."""
    path = database.with_name(database.name + ".daemon")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as problem:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
            raise OperatorError(
                f"another daemon works on this database (process {holder})",
                where=str(database),
                hint="stop it first, or let it do the work: 'clarion emit' and 'clarion fire' reach it",
            ) from problem
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)
