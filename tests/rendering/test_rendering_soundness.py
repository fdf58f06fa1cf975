"""The laws of the static check: what it lets pass renders for every value of the declared types.

Where nobody knows what is in a list or a mapping the check says nothing, so the law of types leaves those out.
"""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from support.random_templates import ALL_PATHS, NAMES, scopes, templates
from support.template_texts import one_leaf

from scheduler.rendering.fusing import Texts, fuse
from scheduler.rendering.leaf_texts import LeafText
from scheduler.rendering.names import check_text, compile_finding
from scheduler.rendering.paths import look_up
from scheduler.rendering.results import RenderFailure

assert settings.default is not None
FEWER = settings(max_examples=settings.default.max_examples // 3)
"""To make a template that fits takes long."""
BOUND = re.compile("more than|longer than")
"""What a template may cost is another matter."""


def failure(text: str, scope: dict[str, Any]) -> RenderFailure | None:
    (fused,) = fuse([Texts((LeafText("aps.alert.title", text),))])
    result = fused.render({
        name: absent if (value := look_up(scope, path)) is None else value
        for name, path, absent in zip(fused.names, fused.paths, fused.absent, strict=True)
    })  # fmt: skip
    return result if isinstance(result, RenderFailure) and not BOUND.search(result.message) else None


@pytest.mark.slow
@pytest.mark.timeout(1200)
@FEWER
@given(templates(unsure=False), st.lists(scopes, min_size=1, max_size=3))
def test_what_check_lets_pass_renders_for_every_value_of_the_declared_types(
    text: str, people: list[dict[str, Any]]
) -> None:
    assume(not check_text(one_leaf(text), NAMES) and compile_finding(one_leaf(text)) is None)
    assert [failure(text, scope) for scope in people] == [None] * len(people)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@FEWER
@given(templates(unsure=True), st.lists(scopes, min_size=1, max_size=3))
def test_what_check_lets_pass_never_fails_for_a_declared_name_that_is_missing(
    text: str, people: list[dict[str, Any]]
) -> None:
    assume(not check_text(one_leaf(text), NAMES) and compile_finding(one_leaf(text)) is None)
    failures = [found for scope in people if (found := failure(text, scope)) is not None]
    assert [one for one in failures if one.variable in ALL_PATHS] == []
