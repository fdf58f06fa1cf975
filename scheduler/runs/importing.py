"""`clarion devices import`: devices from CSV or NDJSON, streaming, in short transactions.

Good lines are imported whatever the others are like; a bad one goes to FILE.rejects.ndjson with its number and the
reason. An import is a copy: it neither revives a retired token nor touches when a known token registered.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from scheduler.conditions.types import Schema
from scheduler.domain.clock import Clock
from scheduler.domain.errors import OperatorError
from scheduler.runs.csv_cells import Header, split_row
from scheduler.runs.json_reading import FieldProblem, decode_fields
from scheduler.runs.registering import checked_device
from scheduler.store.database import Store
from scheduler.store.registry_changes import Applied, DeviceChange, Refused
from scheduler.store.registry_topics import TopicNumbers
from scheduler.store.registry_writing import upsert_devices

MAX_LINE = 1_000_000
"""Bytes."""
_MAX_ROWS = 1000
_MIN_ROWS = 100
_MAX_SECONDS = 0.05
_BOM = b"\xef\xbb\xbf"
_NDJSON = msgspec.json.Decoder(DeviceChange)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is."""

    rows: int
    bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of the rows of a file. `rejects` is the file with the rejected ones, if there are any."""

    created: int
    updated: int
    unchanged: int
    rejected: int
    rejects: Path | None


def import_devices(
    store: Store,
    file: Path,
    *,
    apps: Collection[str],
    schema: Schema,
    clock: Clock,
    progress: Callable[[Progress], None] = lambda _: None,
) -> Imported:
    """Upsert the devices of a file by (app, token). OperatorError if the file as a whole cannot be read.

    CSV or NDJSON by the file's ending, else by its first character. Memory does not grow with the file.
    `progress` is called after every transaction.
    """
    try:
        opened = file.open("rb")
    except OSError as problem:
        raise OperatorError(f"cannot read the file: {problem.strerror}", where=str(file)) from problem
    with opened, _Rejects(Path(f"{file}.rejects.ndjson")) as rejects:
        job = _Import(store, schema, clock, rejects, total_bytes=os.fstat(opened.fileno()).st_size, progress=progress)
        lines = _lines(opened)
        read = _read_ndjson if _is_ndjson(file, opened) else _csv_reader(lines, schema, file)
        for line in lines:
            if not line.raw.strip():
                continue
            change = read(line.raw) if line.whole else FieldProblem("", f"the line is longer than {MAX_LINE} bytes")
            if isinstance(change, DeviceChange):
                change = checked_device(change, apps)
            job.take(line, change)
        job.flush()
        return job.result()


@dataclass(slots=True)
class _Line:
    number: int
    raw: bytes
    whole: bool
    end: int


def _lines(opened: BinaryIO) -> Iterator[_Line]:
    """The lines of a file without their ends. Of an overlong line only the beginning is kept."""
    number = end = 0
    while raw := opened.readline(MAX_LINE + 1):
        number += 1
        end += len(raw)
        whole = len(raw) <= MAX_LINE or raw.endswith(b"\n")
        rest = raw
        while not whole and rest and not rest.endswith(b"\n"):
            rest = opened.readline(MAX_LINE)
            end += len(rest)
        if number == 1:
            raw = raw.removeprefix(_BOM)
        yield _Line(number, raw.rstrip(b"\r\n"), whole, end)


def _is_ndjson(file: Path, opened: BinaryIO) -> bool:
    if file.suffix in (".ndjson", ".jsonl", ".csv"):
        return file.suffix != ".csv"
    start = opened.read(4096)
    opened.seek(0)
    return start.removeprefix(_BOM).lstrip().startswith(b"{")


def _read_ndjson(raw: bytes) -> DeviceChange | FieldProblem:
    return decode_fields(_NDJSON, raw)


def _csv_reader(lines: Iterator[_Line], schema: Schema, file: Path) -> Callable[[bytes], DeviceChange | FieldProblem]:
    first = next(lines, None)
    try:
        names = [name.strip() for name in split_row(first.raw.decode())] if first else [""]
    except ValueError as problem:
        raise OperatorError(f"the first line is no header: {problem}", where=f"{file}:1") from problem
    header = Header(names, schema, where=str(file))

    def read(raw: bytes) -> DeviceChange | FieldProblem:
        try:
            return header.read(raw.decode())
        except UnicodeDecodeError:
            return FieldProblem("", "the line is not UTF-8")

    return read


class _Import:
    """Rows on their way into the store."""

    def __init__(
        self,
        store: Store,
        schema: Schema,
        clock: Clock,
        rejects: _Rejects,
        *,
        total_bytes: int,
        progress: Callable[[Progress], None],
    ) -> None:
        self._store = store
        self._schema = schema
        self._clock = clock
        self._now = clock.now()
        self._rejects = rejects
        self._total_bytes = total_bytes
        self._progress = progress
        self._topics = TopicNumbers()
        self._counts = dict.fromkeys(Applied, 0)
        self._rows = 0
        self._batch: list[tuple[_Line, DeviceChange | FieldProblem]] = []
        self._batch_rows = _MAX_ROWS

    def take(self, line: _Line, change: DeviceChange | FieldProblem) -> None:
        self._batch.append((line, change))
        if len(self._batch) >= self._batch_rows:
            self.flush()

    def flush(self) -> None:
        """Write what was taken in one transaction, and adapt the next one to what this one took."""
        if not self._batch:
            return
        changes = [change for _, change in self._batch if isinstance(change, DeviceChange)]
        began = self._clock.monotonic()
        if changes:
            with self._store.write() as tx:
                verdicts = iter(
                    upsert_devices(
                        tx, changes, now=self._now, schema=self._schema, registering=False, topics=self._topics
                    )
                )
        took = self._clock.monotonic() - began
        for line, change in self._batch:
            if isinstance(change, FieldProblem):
                self._rejects.add(line, change.message)
                continue
            verdict = next(verdicts)
            if isinstance(verdict, Refused):
                self._rejects.add(line, verdict.problem)
            else:
                self._counts[verdict] += 1
        self._rows += len(self._batch)
        self._progress(Progress(self._rows, self._batch[-1][0].end, self._total_bytes))
        self._batch.clear()
        if took > _MAX_SECONDS:
            self._batch_rows = max(_MIN_ROWS, int(self._batch_rows * _MAX_SECONDS / took))
        else:
            self._batch_rows = min(_MAX_ROWS, self._batch_rows + _MIN_ROWS)

    def result(self) -> Imported:
        return Imported(
            created=self._counts[Applied.CREATED],
            updated=self._counts[Applied.UPDATED],
            unchanged=self._counts[Applied.UNCHANGED],
            rejected=self._rejects.count,
            rejects=self._rejects.path if self._rejects.count else None,
        )


class _Rejects:
    """The file of rejected lines. It is made with the first of them; an older one goes away."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._file: BinaryIO | None = None

    def __enter__(self) -> _Rejects:
        self.path.unlink(missing_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, line: _Line, reason: str) -> None:
        if self._file is None:
            try:
                self._file = self.path.open("wb")
            except OSError as problem:
                raise OperatorError(
                    f"cannot write the rejected lines: {problem.strerror}", where=str(self.path)
                ) from problem
        original = line.raw.decode(errors="backslashreplace")
        self._file.write(msgspec.json.encode({"line": line.number, "reason": reason, "original": original}) + b"\n")
        self.count += 1
