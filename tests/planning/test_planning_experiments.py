"""Experiments: whoever is in a group stays there, and a change moves no more people than it has to."""

from __future__ import annotations

import hashlib
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scheduler.planning.experiments import Holdout, drawn_variants, held_out

CROWD = [f"user:{number}" for number in range(20_000)]
"""No chance in it: its counts are the same in every run."""
salts = st.text(max_size=20)
persons = st.lists(st.text(min_size=1, max_size=20).map("user:{}".format), min_size=1, max_size=20)
shares = st.integers(0, 1_000_000).map(lambda millionths: millionths / 1_000_000)
weights = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 1_000), min_size=1).filter(
    lambda drawn: any(drawn.values())
)


def _near(count: int, of: int, share: float) -> bool:
    """Within five standard deviations of what chance would give."""
    return abs(count - of * share) <= 5 * (of * share * (1 - share)) ** 0.5


@given(salt=salts, crowd=persons, share=shares, larger=shares)
def test_a_share_that_grows_lets_nobody_out(salt: str, crowd: list[str], share: float, larger: float) -> None:
    small, large = sorted((share, larger))
    before, after = held_out(Holdout(small, salt), crowd), held_out(Holdout(large, salt), crowd)
    assert all(late for early, late in zip(before, after, strict=True) if early)


@given(salt=salts, crowd=persons)
def test_nothing_holds_nobody_out_and_all_holds_everybody_out(salt: str, crowd: list[str]) -> None:
    assert not any(held_out(Holdout(0.0, salt), crowd))
    assert all(held_out(Holdout(1.0, salt), crowd))


@given(salt=salts, crowd=persons, before=weights, after=weights)
def test_a_person_moves_only_where_the_weight_has_grown_in_proportion(
    salt: str, crowd: list[str], before: dict[str, int], after: dict[str, int]
) -> None:
    for old, new in zip(drawn_variants(salt, before, crowd), drawn_variants(salt, after, crowd), strict=True):
        if old != new:
            assert after[new] * before[old] > after.get(old, 0) * before.get(new, 0)


@given(salt=salts, crowd=persons, before=weights, name=st.sampled_from("abcd"), weight=st.integers(0, 1_000))
def test_changing_one_weight_moves_people_only_into_it_or_only_out_of_it(
    salt: str, crowd: list[str], before: dict[str, int], name: str, weight: int
) -> None:
    """A variant that is added or removed is one that had, or has, the weight nothing."""
    after = {**before, name: weight}
    assume(any(after.values()))
    grows = weight > before.get(name, 0)
    for old, new in zip(drawn_variants(salt, before, crowd), drawn_variants(salt, after, crowd), strict=True):
        assert old == new or (new if grows else old) == name


@given(salt=salts, crowd=persons, said=weights, times=st.integers(1, 100))
def test_only_the_proportion_of_weights_counts(salt: str, crowd: list[str], said: dict[str, int], times: int) -> None:
    turned = {name: weight * times for name, weight in reversed(said.items())}
    assert drawn_variants(salt, said, crowd) == drawn_variants(salt, turned, crowd)


@pytest.mark.parametrize("share", [0.0001, 0.005, 0.05, 0.5, 0.98])
def test_a_holdout_has_its_share(share: float) -> None:
    assert _near(sum(held_out(Holdout(share, "autumn"), CROWD)), len(CROWD), share)


@pytest.mark.parametrize("said", [{"a": 50, "b": 50}, {"a": 1, "b": 2, "c": 7}, {"a": 999, "b": 1}, {"a": 3, "b": 0}])
def test_variants_have_their_shares(said: dict[str, int]) -> None:
    counted = Counter(drawn_variants("autumn", said, CROWD))
    for name, weight in said.items():
        assert _near(counted[name], len(CROWD), weight / sum(said.values()))


def test_a_changed_weight_moves_the_changed_share_and_no_more() -> None:
    before = drawn_variants("autumn", {"a": 34, "b": 33, "c": 33}, CROWD)
    after = drawn_variants("autumn", {"a": 66, "b": 33, "c": 33}, CROWD)
    moved = sum(old != new for old, new in zip(before, after, strict=True))
    assert _near(moved, len(CROWD), float(Fraction(66, 132) - Fraction(34, 100)))


def test_holdouts_and_variants_are_independent_of_each_other() -> None:
    own, other = held_out(Holdout(0.5, "autumn"), CROWD), held_out(Holdout(0.5, "company"), CROWD)
    variants = drawn_variants("autumn", {"a": 1, "b": 1}, CROWD)
    elsewhere = drawn_variants("winter", {"a": 1, "b": 1}, CROWD)
    for pairs in (zip(own, other, strict=True), zip(own, variants, strict=True), zip(variants, elsewhere, strict=True)):
        assert all(_near(count, len(CROWD), 0.25) for count in Counter(pairs).values())


def test_groups_are_the_same_in_every_version() -> None:
    """If this fails, people change their groups at an upgrade: put the hash back."""
    crowd = ["user:anna", "user:ben", "user:Zoë", "device:17", "user:17", "user:a/b"]
    assert held_out(Holdout(0.5, "autumn"), crowd) == [True, True, False, False, False, True]
    assert drawn_variants("autumn", {"short": 50, "long": 50, "none": 0}, crowd) == [
        "long",
        "short",
        "long",
        "long",
        "short",
        "short",
    ]
    first = hashlib.sha256("holdout/autumn/user:Zoë".encode()).hexdigest()[:8]
    share = int(first, 16) / 2**32
    assert held_out(Holdout(share, "autumn"), ["user:Zoë"]) == [False]
    assert held_out(Holdout(share + 2**-32, "autumn"), ["user:Zoë"]) == [True]


def test_half_a_surrogate_pair_in_a_salt_is_hashed_too() -> None:
    assert len(held_out(Holdout(0.5, "\ud83d"), ["user:anna"])) == 1
