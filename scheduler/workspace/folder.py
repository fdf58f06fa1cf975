"""The files of a workspace's folder, as texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

from scheduler.diagnostics.source import Source
from scheduler.domain.errors import OperatorError

SETTINGS_PATH = "clarion.yaml"
SCHEMA_PATH = "schema.yaml"
_READ = frozenset({".yaml", ".j2"})
_MISTAKEN = frozenset({".yml", ".jinja", ".jinja2", ".json"})
"""What somebody may have meant as a rule or a template: read, so that `check` can say that nobody else reads it."""


def read_folder(root: Path) -> Mapping[str, Source]:
    """The files of a workspace by their path below `root`, with `/`. Bytes that are not UTF-8 are kept for `load`
    to report. OperatorError when the folder or a file cannot be read."""
    sources = {}
    for path in _paths(root):
        try:
            text = path.read_bytes().decode("utf-8", "surrogateescape")
        except OSError as problem:
            raise OperatorError(f"cannot be read: {problem.strerror}", where=str(path)) from problem
        name = path.relative_to(root).as_posix()
        sources[name] = Source(name, text.removeprefix("\ufeff"))
    return sources


def is_rule(path: str) -> bool:
    """Whether the file at a path of a workspace is read as a rule."""
    pure = PurePosixPath(path)
    return pure.parts[0] == "rules" and pure.suffix == ".yaml" and pure.parts[:2] != ("rules", "tests")


def content_if_there(path: Path) -> bytes | None:
    """The content of a file that a workspace names, such as a key; None where it cannot be read here."""
    try:
        return path.read_bytes()
    except OSError:
        return None


def _paths(root: Path) -> Iterator[Path]:
    for name in (SETTINGS_PATH, SCHEMA_PATH):
        if (root / name).is_file():
            yield root / name
    for folder in ("templates", "rules"):
        for path in sorted((root / folder).rglob("*")):
            is_rule_test = path.parent == root / "rules" / "tests"
            if path.suffix in _READ | _MISTAKEN and not is_rule_test and path.is_file():
                yield path
