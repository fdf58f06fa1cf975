"""Writes header blocks of which most was prepared ahead, from its own model of the peer's dynamic table.

A campaign sends the same fields to everyone. Those are put into the dynamic table once and then cost a byte each;
what differs from request to request is written as a literal that is not indexed, its name by reference
(RFC 7541 §6.1, §6.2; Apple, "Sending notification requests to APNs": `:path` and the like must not churn the table).
Strings are plain, without Huffman's code: hex digits gain little by it and it costs more than all the rest.

Every index is relative to the newest entry, so **nothing that holds an index outlives an insertion**: otherwise
interleaved campaigns would silently send with each other's topic. That is why templates are thrown away then.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from scheduler.http2.frames import DEFAULT_TABLE_SIZE

_STATIC_SIZE: Final = 61
_ENTRY_OVERHEAD: Final = 32  # RFC 7541 §4.1
_POST_HTTPS: Final = b"\x83\x87"  # :method POST, :scheme https (RFC 7541, Appendix A)
_STATIC_NAMES: Final = {b":authority": 1, b":path": 4, b"authorization": 23}
_CARRIER_ROOM: Final = 64


def integer(value: int, prefix_bits: int, pattern: int) -> bytes:
    """RFC 7541 §5.1; `pattern` fills the bits above the prefix.

    >>> integer(10, 5, 0).hex(), integer(1337, 5, 0).hex()
    ('0a', '1f9a0a')
    """
    limit = (1 << prefix_bits) - 1
    if value < limit:
        return bytes((pattern | value,))
    out = bytearray((pattern | limit,))
    value -= limit
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def string_literal(value: bytes) -> bytes:
    """A string of a header block: its length, then its octets as they are (RFC 7541 §5.2)."""
    return integer(len(value), 7, 0) + value


@dataclass(frozen=True, slots=True)
class SharedField:
    """A header field with the same value in many requests; indexed, or written out each time."""

    name: bytes
    value: bytes
    indexed: bool = True

    @property
    def size(self) -> int:
        return _ENTRY_OVERHEAD + len(self.name) + len(self.value)


@dataclass(frozen=True, slots=True, eq=False)
class BlockShape:
    """What the blocks of a group of requests have in common. Compared by identity: make one and keep it.

    A block is `:method POST`, `:scheme https`, the authority, `:path`, `fields`, and a field for each of `names`.
    """

    authority: SharedField
    fields: tuple[SharedField, ...]
    names: tuple[bytes, ...]
    room: int = field(init=False)
    """How large a table must be to hold all of it; in a smaller one nothing is indexed."""

    def __post_init__(self) -> None:
        shared = sum(shared.size for shared in (self.authority, *self.fields) if shared.indexed)
        carriers = sum(_ENTRY_OVERHEAD + len(name) + _CARRIER_ROOM for name in self.names)
        object.__setattr__(self, "room", shared + carriers)


class HeaderEncoder:
    """The encoder of one connection: the model of its dynamic table, and templates that are true for this moment."""

    def __init__(self) -> None:
        self._limit = DEFAULT_TABLE_SIZE
        self._size = 0
        self._entries: deque[tuple[bytes, bytes]] = deque()  # oldest first
        self._inserted = 0
        self._fields: dict[tuple[bytes, bytes], int] = {}
        self._names: dict[bytes, int] = {}
        self._lowest_unannounced: int | None = None
        self._templates: dict[BlockShape, bytes] = {}

    def resize(self, peer_limit: int) -> None:
        """SETTINGS_HEADER_TABLE_SIZE has arrived. The next block announces the change (RFC 7541 §4.2, §6.3)."""
        limit = min(DEFAULT_TABLE_SIZE, peer_limit)
        if limit == self._limit:
            return
        lowest = self._lowest_unannounced
        self._lowest_unannounced = limit if lowest is None else min(lowest, limit)
        self._limit = limit
        self._evict(limit)
        self._templates.clear()

    def template(self, shape: BlockShape) -> bytes | None:
        """A %-template of a block that leaves the table as it is; None if the next block must change it.

        Its places are `string_literal`s: the path, then one for each name of the shape. It holds until
        the next `first_block` or `resize`: ask again after either.
        """
        known = self._templates.get(shape)
        if known is not None:
            return known
        if self._lowest_unannounced is not None or not self._holds(shape):
            return None
        head = _POST_HTTPS + self._shared(shape, shape.authority) + self._name(b":path")
        gaps = [*(self._name(name) for name in shape.names), b""]
        gaps[0] = b"".join([self._shared(shape, shared) for shared in shape.fields]) + gaps[0]
        template = b"%b".join(gap.replace(b"%", b"%%") for gap in (head, *gaps))
        self._templates[shape] = template
        return template

    def first_block(self, shape: BlockShape, literals: tuple[bytes, ...]) -> bytes:
        """A whole block that announces a new table size, if there is one, and inserts what the shape lacks."""
        block = bytearray(self._size_updates())
        block += _POST_HTTPS + self._shared(shape, shape.authority) + self._name(b":path") + literals[0]
        for shared in shape.fields:
            block += self._shared(shape, shared)
        for name, literal in zip(shape.names, literals[1:], strict=True):
            if self._fits(shape) and self._name_index(name) is None:
                # The first value of a name is indexed for the sake of the name alone.
                block += b"\x40" + string_literal(name) + literal
                self._insert(name, _value_of(literal))
            else:
                block += self._name(name) + literal
        return bytes(block)

    def _fits(self, shape: BlockShape) -> bool:
        return shape.room <= self._limit

    def _holds(self, shape: BlockShape) -> bool:
        if not self._fits(shape):
            return True  # nothing of it is ever indexed
        shared = (shape.authority, *shape.fields)
        return all(self._field_index(each) is not None for each in shared if each.indexed) and all(
            self._name_index(name) is not None for name in shape.names
        )

    def _shared(self, shape: BlockShape, shared: SharedField) -> bytes:
        if not shared.indexed or not self._fits(shape):
            return self._name(shared.name) + string_literal(shared.value)
        index = self._field_index(shared)
        if index is not None:
            return integer(index, 7, 0x80)
        name_index = _STATIC_NAMES.get(shared.name) or self._name_index(shared.name)
        name = b"\x40" + string_literal(shared.name) if name_index is None else integer(name_index, 6, 0x40)
        self._insert(shared.name, shared.value)
        return name + string_literal(shared.value)

    def _name(self, name: bytes) -> bytes:
        """The beginning of a literal without indexing."""
        index = _STATIC_NAMES.get(name) or self._name_index(name)
        return b"\x00" + string_literal(name) if index is None else integer(index, 4, 0x00)

    def _field_index(self, shared: SharedField) -> int | None:
        return self._index(self._fields.get((shared.name, shared.value)))

    def _name_index(self, name: bytes) -> int | None:
        return self._index(self._names.get(name))

    def _index(self, number: int | None) -> int | None:
        return None if number is None else _STATIC_SIZE + self._inserted - number

    def _insert(self, name: bytes, value: bytes) -> None:
        self._templates.clear()
        size = _ENTRY_OVERHEAD + len(name) + len(value)
        self._evict(self._limit - size)
        if size <= self._limit:
            self._entries.append((name, value))
            self._fields[name, value] = self._names[name] = self._inserted
            self._size += size
            self._inserted += 1

    def _evict(self, target: int) -> None:
        """RFC 7541 §4.3, §4.4: oldest first, until the entries take no more than `target` bytes."""
        while self._entries and self._size > target:
            number = self._inserted - len(self._entries)
            name, value = self._entries.popleft()
            self._size -= _ENTRY_OVERHEAD + len(name) + len(value)
            if self._fields[name, value] == number:
                del self._fields[name, value]
            if self._names[name] == number:
                del self._names[name]

    def _size_updates(self) -> bytes:
        lowest, self._lowest_unannounced = self._lowest_unannounced, None
        if lowest is None:
            return b""
        final = integer(self._limit, 5, 0x20)
        return final if lowest == self._limit else integer(lowest, 5, 0x20) + final


def _value_of(literal: bytes) -> bytes:
    """The octets of a `string_literal`."""
    if literal[0] < 127:
        return literal[1:]
    head = 1
    while literal[head] & 128:
        head += 1
    return literal[head + 1 :]
