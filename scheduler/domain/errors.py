"""Exceptions by blame. What is expected to happen (a rejection, an expiry) is a value, never one of these."""

from __future__ import annotations


class ClarionError(Exception):
    """Base of what Clarion raises on purpose. Use one of the three below: they say whose move it is."""


class OperatorError(ClarionError):
    """Someone who uses Clarion can put it right: says what is wrong, where, and what to do next.

    `str()` is the whole text as the command line prints it, on up to three lines.
    """

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        self.what = what
        self.where = where
        self.hint = hint
        text = f"{where}: {what}" if where else what
        if hint:
            text += f"\n  hint: {hint}"
        super().__init__(text)


class RemoteError(ClarionError):
    """A peer (Apple, a proxy, a client of ours) broke the rules of its protocol."""


def words_of_peer(raw: bytes) -> str:
    """The beginning of what a peer says, for a log or a terminal: whatever cannot be seen is escaped.

    >>> words_of_peer(b"gone \\x1b[2J")
    'gone \\\\x1b[2J'
    """
    return raw[:100].decode("latin-1").encode("unicode_escape").decode("ascii")


class Bug(ClarionError):
    """Clarion contradicts itself: a state that cannot be. Please report it."""
