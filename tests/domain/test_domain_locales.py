from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.locales import canonical_locale


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("de", "de"),
        ("DE_at", "de-AT"),
        ("zh-hans-cn", "zh-Hans-CN"),
        ("zh_Hant", "zh-Hant"),
        ("es-419", "es-419"),
        ("fil", "fil"),
        ("sl-rozaj-biske-1994", "sl-rozaj-biske-1994"),
        ("ca-ES-VALENCIA", "ca-ES-valencia"),
        ("en-US-u-hc-h23-rg-gbzzzz-x-a", "en-US"),
    ],
)
def test_a_tag_is_kept_in_the_case_of_rfc_5646(written: str, kept: str) -> None:
    assert canonical_locale(written) == kept


@pytest.mark.parametrize(
    "text",
    ["", "german", "d", "de-", "de--AT", "de AT", "de-AT ", "en_US@calendar=gregorian", "de-u", "dé"],
)
def test_what_is_no_tag_of_language_script_region_and_variants_is_none(text: str) -> None:
    assert canonical_locale(text) is None


@given(st.from_regex(r"[a-z]{2,3}([-_][A-Za-z]{4})?([-_]([A-Za-z]{2}|[0-9]{3}))?", fullmatch=True))
def test_a_canonical_tag_is_its_own_canonical_form(text: str) -> None:
    kept = canonical_locale(text)
    assert kept is not None
    assert canonical_locale(kept) == kept
    assert kept.lower() == text.replace("_", "-").lower()
