"""Says which of the other servers are missing here."""

from __future__ import annotations

import shutil

import pytest
from support.parts import part_is_missing

pytestmark = pytest.mark.peer


@pytest.mark.parametrize(
    ("program", "package"), [("nghttpd", "nghttp2-server"), ("nghttpx", "nghttp2-proxy"), ("node", "nodejs")]
)
def test_the_server_of_other_people_is_here(program: str, package: str) -> None:
    if shutil.which(program) is None:
        part_is_missing(program, f"{program} (Debian's package {package}) is not installed: no link was tried on it")
