"""What is asked of the registry, and what came of it.

The fields are those of an import's line and of an HTTP body, so both are decoded into these types. A field that is
absent (UNSET) is left as it is; null removes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from msgspec import UNSET, Struct, UnsetType


class DeviceFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of a device that may be given.

    `attributes` and `user_attributes` are merged key by key, a null value removes its key. `topics` replaces all
    topics of the device. `replaces` is an older token of the same installation: its device moves to this token.
    """

    user: str | UnsetType | None = UNSET
    locale: str | UnsetType | None = UNSET
    time_zone: str | UnsetType | None = UNSET
    topics: list[str] | UnsetType | None = UNSET
    attributes: dict[str, Any] | UnsetType = UNSET
    user_attributes: dict[str, Any] | UnsetType = UNSET
    replaces: str | UnsetType = UNSET


class DeviceChange(DeviceFields, frozen=True, kw_only=True):
    """A change of one device, which is named by app and device token."""

    app: str
    token: str


class UserFields(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of a user that may be given. `opt_outs` replaces the list of categories."""

    attributes: dict[str, Any] | UnsetType = UNSET
    opt_outs: list[str] | UnsetType | None = UNSET
    locale: str | UnsetType | None = UNSET
    time_zone: str | UnsetType | None = UNSET


class UserChange(UserFields, frozen=True, kw_only=True):
    """A change of one user."""

    id: str


class Applied(StrEnum):
    """A change that was made, and what it did."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Refused:
    """A change that was not made at all: the field and what is wrong with it, in words for who sent it."""

    field: str
    problem: str
    """A sentence that begins with the field."""

    @classmethod
    def because(cls, problems: Sequence[str], *, within: str = "") -> Refused:
        """From sentences that begin with a field each; `within` is put before every field."""
        sentences = [within + problem for problem in problems]
        return cls(sentences[0].partition(" ")[0], "; ".join(sentences))


Verdict: TypeAlias = Applied | Refused
