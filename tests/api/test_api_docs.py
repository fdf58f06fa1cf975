"""The examples of docs/http-api.md, executed in their order."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx
import pytest

DOCS = Path(__file__).parents[2] / "docs" / "http-api.md"


def _examples() -> list[tuple[str, str]]:
    blocks = re.findall(r"^```http\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) % 2 == 0
    return list(zip(blocks[::2], blocks[1::2], strict=True))


def _parts(block: str) -> tuple[str, dict[str, str], str]:
    head, _, body = block.partition("\n\n")
    first, *headers = head.strip().splitlines()
    return first, dict(line.split(": ", 1) for line in headers), body.strip()


@pytest.mark.slow
async def test_every_example_answers_as_it_is_written(client: httpx.AsyncClient) -> None:
    examples = _examples()
    assert len(examples) >= 9
    for request, answer in examples:
        line, headers, body = _parts(request)
        method, path = line.split(" ")
        response = await client.request(method, path, headers=headers, content=body.encode())
        status_line, expected_headers, expected_body = _parts(answer)
        assert f"HTTP/1.1 {response.status_code}" == status_line, (request, response.text)
        for name, value in expected_headers.items():
            assert response.headers[name] == value
        if expected_body:
            assert response.json() == json.loads(expected_body)
