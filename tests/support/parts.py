"""Parts of a machine that tests can do without: PostgreSQL, a browser, another HTTP/2 server."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def part_is_missing(part: str, what: str) -> NoReturn:
    """Skip the test because this machine lacks a part; where CLARION_REQUIRE names the part, fail.

    One test asks for each part, so that the summary has one line of it; the others that need it are not collected.
    """
    if part in os.environ.get("CLARION_REQUIRE", "").replace(",", " ").split():
        pytest.fail(f"CLARION_REQUIRE asks for {part}: {what}", pytrace=False)
    pytest.skip(f"{what}; CLARION_REQUIRE={part} makes this a failure")
