"""Many rules, several processors: `check` looks at some of the rules in copies of this process."""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Mapping, Sequence

from scheduler.diagnostics.source import Source
from scheduler.workspace.rule_loading import LoadedRule, RuleLoader, Share, one_by_one

_WORTH_IT = 40
"""Rules for each process: to begin one and to read what it found costs as much as a few rules."""


def shared_out(processors: int) -> Share:
    """How to look at rules with so many processors."""

    def share(loader: RuleLoader, paths: Sequence[str]) -> list[LoadedRule]:
        count = min(processors, len(paths) // _WORTH_IT)
        if count < 2 or not hasattr(os, "fork"):
            return one_by_one(loader, paths)
        sys.stdout.flush()
        sys.stderr.flush()
        others = [_Copy(loader, paths[number::count]) for number in range(1, count)]
        own = one_by_one(loader, paths[::count])
        return [*own, *(rule for other in others for rule in other.loaded())]

    return share


class _Copy:
    """A process that began as a copy of this one, loads some rules, sends them and ends."""

    def __init__(self, loader: RuleLoader, paths: Sequence[str]) -> None:
        self._sources = loader.sources
        self._readable, writable = os.pipe()
        self._process = os.fork()
        if self._process:
            os.close(writable)
            return
        status = 1
        try:  # whatever happens, the copy must not go on with what its original does next
            with os.fdopen(writable, "wb") as pipe:
                pipe.write(_pickled(one_by_one(loader, paths)))
            status = 0
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)

    def loaded(self) -> list[LoadedRule]:
        """The rules that it sent."""
        with os.fdopen(self._readable, "rb") as pipe:
            sent = pipe.read()
        _, status = os.waitpid(self._process, 0)
        if status:
            raise ChildProcessError("a process that checked rules has failed: its error is above")
        rules: list[LoadedRule] = _Unpickler(sent, self._sources).load()
        return rules


def _pickled(rules: list[LoadedRule]) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer, pickle.HIGHEST_PROTOCOL).dump(rules)
    return buffer.getvalue()


class _Pickler(pickle.Pickler):
    """Sources are not sent: the original has them, by their path."""

    def persistent_id(self, obj: object) -> str | None:
        return obj.path if isinstance(obj, Source) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, sent: bytes, sources: Mapping[str, Source]) -> None:
        super().__init__(io.BytesIO(sent))
        self._sources = sources

    def persistent_load(self, pid: str) -> Source:
        return self._sources[pid]
