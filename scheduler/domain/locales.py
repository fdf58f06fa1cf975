"""Locales: the tags of BCP 47 (RFC 5646), as phones and servers write them."""

from __future__ import annotations

import re
from functools import lru_cache

_TAG = re.compile(
    r"([A-Za-z]{2,3})(?:-([A-Za-z]{4}))?(?:-([A-Za-z]{2}|\d{3}))?((?:-(?:[A-Za-z\d]{5,8}|\d[A-Za-z\d]{3}))*)"
    r"(?:-[A-Za-z\d](?:-[A-Za-z\d]{1,8})+)*"
)


@lru_cache(maxsize=4096)
def canonical_locale(text: str) -> str | None:
    """The tag in the case that RFC 5646 section 2.1.1 recommends, or None if it is not one.

    Language, script, region and variants; `_` is read as `-`. Extensions are left out: they choose calendars and
    hours of the clock, never a translation, and a condition should find `en-US` as such.

    >>> canonical_locale("de_at"), canonical_locale("zh-hans-CN"), canonical_locale("german")
    ('de-AT', 'zh-Hans-CN', None)
    """
    match = _TAG.fullmatch(text.replace("_", "-"))
    if match is None:
        return None
    language, script, region, variants = match.groups()
    tag = language.lower()
    if script:
        tag += f"-{script.title()}"
    if region:
        tag += f"-{region.upper()}"
    return tag + variants.lower()
