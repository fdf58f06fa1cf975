"""Templates that are one text, and the law of overlays."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.template_texts import one_text

from scheduler.diagnostics.source import Source
from scheduler.diagnostics.yaml_nodes import core_value
from scheduler.diagnostics.yaml_reader import read_yaml
from scheduler.rendering.overlays import chain, overlay
from scheduler.rendering.results import Missing, RenderFailure
from scheduler.rendering.skeleton import Array, Fixed, Hole, Object, Part, chunks


def test_constant_text_needs_no_names() -> None:
    template = one_text("trigger.once_per", "launch {day}")
    assert (template.constant, template.variables, template.render({})) == ("launch {day}", (), "launch {day}")


def test_text_takes_the_values_of_its_names() -> None:
    template = one_text("trigger.once_per", "{{ event.subject }}:{{ event.data.n }}")
    assert template.variables == ("event.subject", "event.data.n")
    assert not template.is_personal
    assert template.render({"event": {"subject": "g1", "data": {"n": 2}}}) == "g1:2"


def test_index_of_a_text_is_one_of_its_characters() -> None:
    template = one_text("trigger.once_per", "{{ event.data.home[0] }}")
    assert template.render({"event": {"data": {"home": "FCB"}}}) == "F"
    assert template.render({"event": {"data": {"home": ""}}}) == Missing("event.data.home.0")


def test_missing_part_is_named() -> None:
    template = one_text("audience.users[0]", "{{ event.data.user_id }}")
    assert template.render({"event": {"data": {"user_id": None}}}) == Missing("event.data.user_id")
    assert template.render({"event": None}) == Missing("event.data.user_id")


def test_text_of_a_list_fails_with_its_place() -> None:
    template = one_text("delivery.collapse", "{{ device.topics }}")
    assert template.is_personal
    assert template.render({"device": {"topics": ["a"]}}) == RenderFailure(
        "delivery.collapse", "a list is no text; choose with `join(', ')` or `first`"
    )


def test_abort_has_no_place_in_a_key() -> None:
    assert one_text("trigger.once_per", "{{ abort('x') }}").render({}) == RenderFailure(
        "trigger.once_per", "abort('x') belongs into a payload template"
    )


def test_chain_goes_from_the_most_specific_to_the_base() -> None:
    known = {"zh", "zh-Hant", "de"}
    assert chain("zh_hant_tw", known) == ("zh-Hant", "zh")
    assert chain("zh-Hans", known) == ("zh",)
    assert chain("fr", known) == chain(None, known) == chain("???", known) == ()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text("abc", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1, max_size=1), inner),
    max_leaves=12,
)
objects = st.dictionaries(st.text("abc", min_size=1, max_size=1), json_values)


def merged(base: object, over: object) -> object:
    """RFC 7396 (JSON Merge Patch): overlays mean the same."""
    if not isinstance(over, dict):
        return over
    result = dict(base) if isinstance(base, dict) else {}
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


@pytest.mark.slow
@given(objects, objects)
def test_overlay_is_a_json_merge_patch(base: dict[str, object], over: dict[str, object]) -> None:
    roots = [read_yaml(Source("x", json.dumps(value))).root for value in (base, over)]
    assert roots[0] is not None
    assert roots[1] is not None
    assert core_value(overlay(roots[0], roots[1])) == merged(base, over)


def part_of(value: object, holes: list[object]) -> Part:
    """A skeleton of a value in which every text is a hole."""
    if isinstance(value, dict):
        return Object(tuple((key, part_of(inner, holes)) for key, inner in value.items()))
    if isinstance(value, list):
        return Array(tuple(part_of(inner, holes) for inner in value))
    if isinstance(value, str):
        holes.append(value)
        return Hole(len(holes) - 1)
    return Fixed(json.dumps(value).encode())


@given(json_values, st.frozensets(st.integers(0, 5)))
def test_skeleton_with_filled_holes_is_the_json_of_the_whole(value: object, omitted: frozenset[int]) -> None:
    holes: list[object] = []
    part = part_of(value, holes)
    if isinstance(part, Hole):
        omitted = frozenset()
    around = chunks(part, omitted)
    kept = [json.dumps(text).encode() for n, text in enumerate(holes) if n not in omitted]
    assert len(around) == len(kept) + 1
    filled = around[0] + b"".join(text + after for text, after in zip(kept, around[1:], strict=True))
    counter = iter(range(len(holes)))

    def without(inner: object) -> object:
        if isinstance(inner, dict):
            result = {}
            for key, one in inner.items():
                if isinstance(one, str) and next(counter) in omitted:
                    continue
                result[key] = without(one) if not isinstance(one, str) else one
            return result
        if isinstance(inner, list):
            return [
                without(one) if not isinstance(one, str) else one
                for one in inner
                if not (isinstance(one, str) and next(counter) in omitted)
            ]
        return inner

    assert json.loads(filled) == without(value)
