"""How a client wrote its headers: the representation of each field of a header block (RFC 7541 §6).

Only the structure is walked; the decoder of h2 tells the names. Both give the fields in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from hpack import Decoder, HeaderTuple


class Representation(StrEnum):
    """How one field is written."""

    INDEXED = "indexed"
    """A reference to a whole entry of the static or dynamic table (§6.1)."""
    INCREMENTAL = "incremental"
    """A literal that enters the dynamic table (§6.2.1)."""
    WITHOUT_INDEXING = "without_indexing"
    """A literal that does not (§6.2.2)."""
    NEVER_INDEXED = "never_indexed"
    """A literal that must not on any hop (§6.2.3)."""


def representations(block: bytes) -> list[Representation]:
    """The representation of each field of a block that decodes; table size updates are none.

    >>> [str(one) for one in representations(b"\\x83\\x44\\x02/a\\x04\\x02/b")]
    ['indexed', 'incremental', 'without_indexing']
    """
    found: list[Representation] = []
    position = 0
    while position < len(block):
        first = block[position]
        if first & 0x80:
            found.append(Representation.INDEXED)
            _, position = _integer(block, position, 7)
            continue
        if first & 0x40:
            kind, prefix = Representation.INCREMENTAL, 6
        elif first & 0x20:
            _, position = _integer(block, position, 5)
            continue
        else:
            kind, prefix = Representation.NEVER_INDEXED if first & 0x10 else Representation.WITHOUT_INDEXING, 4
        found.append(kind)
        name, position = _integer(block, position, prefix)
        for _ in range(1 if name else 2):
            length, position = _integer(block, position, 7)
            position += length
    return found


def _integer(block: bytes, position: int, prefix: int) -> tuple[int, int]:
    """The integer at a position (§5.1), and the position behind it."""
    highest = (1 << prefix) - 1
    value, position = block[position] & highest, position + 1
    if value < highest:
        return value, position
    shift = 0
    while True:
        byte = block[position]
        value, position, shift = value + ((byte & 0x7F) << shift), position + 1, shift + 7
        if not byte & 0x80:
            return value, position


class ObservedDecoder(Decoder):
    """h2's decoder, which also tells how each block was written."""

    def __init__(self, observe: Callable[[list[HeaderTuple], list[Representation]], None]) -> None:
        super().__init__()
        self._observe = observe

    def decode(self, data: bytes, raw: bool = False) -> list[HeaderTuple]:
        """As the decoder's own; a block that does not decode is not observed."""
        headers = list(super().decode(data, raw))
        self._observe(headers, representations(bytes(data)))
        return headers
