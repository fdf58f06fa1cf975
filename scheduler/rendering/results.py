"""What rendering ends in besides the text or the bytes: values, because a bad device is an everyday matter."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Missing:
    """A text that cannot be, because `variable` is missing or null. Whoever asked decides what that means."""

    variable: str


@dataclass(frozen=True, slots=True)
class RenderFailure:
    """The template failed for this device: which leaf (`aps.alert.body`, `with.headline`, `collapse`), and why.

    `variable` is the whole path of what is missing, if that is the reason.
    """

    leaf: str
    message: str
    variable: str | None = None

    def __str__(self) -> str:
        return f"{self.leaf}: {self.message}"


@dataclass(frozen=True, slots=True)
class Aborted:
    """The template said `abort("reason")`: the device is suppressed with that reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class TooLarge:
    """The payload came out over the provider's limit. Sizes are bytes."""

    size: int
    limit: int
