"""Who is held out, and who gets which variant: a keyed hash that anyone can recompute.

    point(text) = the first four bytes of SHA-256 over the text in UTF-8, read as a big-endian number, over 2³²
    held out    ⇔ point("holdout/SALT/PERSON") < share
    variant     = the one with the greatest ln(point("variant/NAME/SALT/PERSON") + 2⁻³³) / weight

PERSON is `user:ID`, or `device:NUMBER` where no user is known. This is a promise: whoever is in a group stays in it
when Clarion is upgraded, and docs/semantics.md says the same with an example that is executed.

The laws that follow, of each person and not only of counts:
- A share that grows takes more people in, and lets nobody out.
- A person moves from one variant to another only if the other's weight has grown in proportion to the first one's. So
  who changes one weight, adds a variant or removes one moves people only into that variant, or only out of it.
- The order of variants means nothing, and a weight counts only in proportion to the others.
- Holdouts with different salts, and a holdout and variants, are independent of each other.

The variants are drawn by weighted rendezvous hashing: -ln(u) / weight is a waiting time that is exponential with this
rate, and the shortest of them is that of a variant with a chance in proportion to its weight.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import ceil, log

_POINTS = 2**32


@dataclass(frozen=True, slots=True)
class Holdout:
    """A share of all people, in [0, 1], that gets nothing; the same people for the same salt."""

    share: float
    salt: str


@dataclass(frozen=True, slots=True)
class Experiment:
    """What is drawn for each person of a rule: the holdouts that hold, and a variant by weight if there are any."""

    holdouts: tuple[Holdout, ...]
    salt: str
    weights: Mapping[str, int]


def held_out(holdout: Holdout, persons: Sequence[str]) -> list[bool]:
    """For each person, whether this holdout takes it.

    >>> held_out(Holdout(0.5, "autumn"), ["user:anna", "user:ben", "device:17"])
    [True, True, False]
    """
    return drawn(f"holdout/{holdout.salt}/", holdout.share, persons)


def drawn(prefix: str, share: float, persons: Sequence[str]) -> list[bool]:
    """For each person, whether its point with this prefix is below a share."""
    start, limit = _utf8(prefix), ceil(share * _POINTS)
    from_bytes = int.from_bytes
    return [from_bytes(sha256(start + person.encode()).digest()[:4], "big") < limit for person in persons]


def drawn_variants(salt: str, weights: Mapping[str, int], persons: Sequence[str]) -> list[str]:
    """For each person, the name of its variant. At least one weight is above zero.

    >>> drawn_variants("autumn", {"short": 50, "long": 50}, ["user:anna", "user:ben", "user:carl"])
    ['long', 'short', 'long']
    """
    # Of equal scores, one in four thousand million, the name decides.
    drawn = sorted((name, weight) for name, weight in weights.items() if weight > 0)
    scores = [_scores(_utf8(f"variant/{name}/{salt}/"), weight, persons) for name, weight in drawn]
    names = [name for name, _ in drawn]
    return [names[of_person.index(max(of_person))] for of_person in zip(*scores, strict=True)]


def _scores(prefix: bytes, weight: int, persons: Sequence[str]) -> list[float]:
    """ln(u) / weight for each person, u being the middle of its point: never 0, never 1."""
    from_bytes = int.from_bytes
    return [
        log((from_bytes(sha256(prefix + person.encode()).digest()[:4], "big") + 0.5) / _POINTS) / weight
        for person in persons
    ]


def _utf8(text: str) -> bytes:
    """A salt is whatever a YAML file can hold, half a surrogate pair too."""
    return text.encode("utf-8", "surrogatepass")
