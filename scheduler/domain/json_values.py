"""JSON as a type: what event data, attributes and payloads are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

JsonScalar: TypeAlias = str | int | float | bool | None
Json: TypeAlias = "JsonScalar | Sequence[Json] | Mapping[str, Json]"
JsonObject: TypeAlias = Mapping[str, Json]

MAX_INTEGER = 2**63 - 1
MIN_INTEGER = -(2**63)
"""Integers are 64 bit everywhere: in conditions, in SQL and at the door."""
