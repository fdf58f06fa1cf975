"""The fixed part of a payload as bytes with holes: JSON that is valid by construction, whatever fills the holes.

Holes hold complete JSON values, never parts of one, so no value can break out of its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

ENCODE = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Fixed:
    """A value that is the same for everybody, as JSON."""

    json: bytes


@dataclass(frozen=True, slots=True)
class Hole:
    """The place of the leaf with this number."""

    number: int


@dataclass(frozen=True, slots=True)
class Object:
    entries: tuple[tuple[str, Part], ...]


@dataclass(frozen=True, slots=True)
class Array:
    items: tuple[Part, ...]


Part: TypeAlias = Fixed | Hole | Object | Array


def chunks(root: Part, omitted: frozenset[int] = frozenset()) -> tuple[bytes, ...]:
    """The bytes around the holes, one more than there are holes; the keys of omitted leaves are left out.

    >>> chunks(Object((("a", Hole(0)), ("b", Fixed(b"1")))))
    (b'{"a":', b',"b":1}')
    >>> chunks(Object((("a", Hole(0)), ("b", Fixed(b"1")))), frozenset({0}))
    (b'{"b":1}',)
    """
    writer = _Writer(omitted)
    writer.write(root)
    writer.close()
    return tuple(writer.done)


class _Writer:
    def __init__(self, omitted: frozenset[int]) -> None:
        self.omitted = omitted
        self.done: list[bytes] = []
        self.open: list[bytes] = []

    def close(self) -> None:
        self.done.append(b"".join(self.open))
        self.open.clear()

    def write(self, part: Part) -> None:
        match part:
            case Fixed(json=json):
                self.open.append(json)
            case Hole():
                self.close()
            case Object(entries=entries):
                kept = [(key, value) for key, value in entries if not self._is_omitted(value)]
                for number, (key, value) in enumerate(kept):
                    self.open.append((b"," if number else b"{") + ENCODE(key) + b":")
                    self.write(value)
                self.open.append(b"}" if kept else b"{}")
            case Array(items=items):
                remaining = [item for item in items if not self._is_omitted(item)]
                for number, item in enumerate(remaining):
                    self.open.append(b"," if number else b"[")
                    self.write(item)
                self.open.append(b"]" if remaining else b"[]")

    def _is_omitted(self, part: Part) -> bool:
        return isinstance(part, Hole) and part.number in self.omitted
