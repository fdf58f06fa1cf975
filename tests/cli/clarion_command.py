"""The command line in this process: words in; exit code, stdout and stderr out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

ARTICLE = "com.example.article.published"


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


class Clarion(Protocol):
    """Runs `clarion WORDS` in the current folder."""

    def __call__(self, *words: str, stdin: bytes = b"") -> Ran: ...


def replace(path: Path, old: str, new: str) -> None:
    """Edit a file; the text to be replaced is there once."""
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))


def article(id_: str = "a1", **data: object) -> dict[str, object]:
    """An event that the starter's rule listens to."""
    return {
        "id": id_,
        "source": "/newsroom",
        "type": ARTICLE,
        "data": {"title": "Late winner", "section": "sports", **data},
    }
