from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from api_store_intake import NOW, StoreIntake
from sqlalchemy import func, select

from scheduler.runs.keys import create_key
from scheduler.store.api_keys import Scope
from scheduler.store.database import Store
from scheduler.store.tables import EVENTS

GOAL = {"home": "A", "away": "B", "home_score": 1, "away_score": 0}
NDJSON = {"content-type": "application/x-ndjson"}


def event(number: int = 1, **fields: object) -> dict[str, Any]:
    return {"id": f"e{number}", "source": "/scores", "type": "game.over", "data": {"n": number}} | fields


def stored(store: Store) -> int:
    with store.read() as tx:
        return tx.execute(select(func.count()).select_from(EVENTS)).scalar_one()


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/cloudevents+json; charset=utf-8", "Application/JSON", None]
)
async def test_one_event_is_on_disk_when_it_is_answered(
    client: httpx.AsyncClient, store: Store, content_type: str | None
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    answer = await client.post("/v1/events", content=json.dumps(event(), indent=2), headers=headers)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "duplicates": 0})
    assert stored(store) == 1


async def test_a_repeated_event_is_accepted_and_ignored(client: httpx.AsyncClient, store: Store) -> None:
    await client.post("/v1/events", json=event())
    answer = await client.post("/v1/events", json=event(data={"n": 2}))
    assert (answer.status_code, answer.json()) == (202, {"accepted": 0, "duplicates": 1})
    assert stored(store) == 1


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", {"status": 400, "detail": "not JSON: it ends too early"}),
        (b'"x"', {"status": 400, "detail": "this must be an object, not a string"}),
        (json.dumps(event(id=None)).encode(), {"status": 422, "field": "id", "detail": "id is missing"}),
        (
            json.dumps(event(type="com.example.score.changed", data=GOAL | {"home_score": "1"})).encode(),
            {"status": 422, "field": "data.home_score", "detail": "data.home_score is '1', not an integer"},
        ),
        (
            json.dumps(event(user_attributes={})).encode(),
            {
                "status": 422,
                "field": "user_attributes",
                "detail": "user_attributes cannot travel with an event yet: send them to /v1/users/{user} before",
            },
        ),
    ],
)
async def test_a_single_bad_event_is_a_problem(
    client: httpx.AsyncClient, store: Store, content: bytes, expected: dict[str, object]
) -> None:
    answer = await client.post("/v1/events", content=content)
    assert answer.headers["content-type"] == "application/problem+json"
    assert {name: value for name, value in answer.json().items() if name not in ("type", "title")} == expected
    assert answer.status_code == expected["status"]
    assert stored(store) == 0


@pytest.mark.parametrize("headers", [NDJSON, {"content-type": "application/json"}, {}])
async def test_good_lines_are_taken_whatever_the_others_are_like(
    client: httpx.AsyncClient, store: Store, headers: dict[str, str]
) -> None:
    lines = [json.dumps(event(1)), "", "{", json.dumps(event(2, time="yesterday")), json.dumps(event(1)) + "\r"]
    answer = await client.post("/v1/events", content="\n".join(lines), headers=headers)
    assert answer.status_code == 202
    assert answer.json() == {
        "accepted": 1,
        "duplicates": 1,
        "refused": [
            {"line": 3, "field": "", "problem": "not JSON: it ends too early"},
            {
                "line": 4,
                "field": "time",
                "problem": "time is 'yesterday', not an instant of RFC 3339 such as '2026-11-27T09:00:00Z'",
            },
        ],
        "refused_count": 2,
    }
    assert stored(store) == 1


@pytest.mark.parametrize("content_type", ["application/json", "application/cloudevents-batch+json"])
async def test_a_list_is_a_batch(client: httpx.AsyncClient, store: Store, content_type: str) -> None:
    batch = [event(1), 7, event(2)]
    answer = await client.post("/v1/events", content=json.dumps(batch), headers={"content-type": content_type})
    assert (answer.status_code, answer.json()) == (
        202,
        {
            "accepted": 2,
            "duplicates": 0,
            "refused": [{"index": 1, "field": "", "problem": "this must be an object, not an integer"}],
            "refused_count": 1,
        },
    )
    assert stored(store) == 2


async def test_a_batch_without_a_good_event_is_refused(client: httpx.AsyncClient, store: Store) -> None:
    answer = await client.post("/v1/events", content=b"{}\n" * 1500, headers=NDJSON)
    body = answer.json()
    assert (answer.status_code, body["accepted"], body["refused_count"], len(body["refused"])) == (422, 0, 1500, 100)
    assert body["refused"][-1] == {"line": 100, "field": "id", "problem": "id is missing"}
    answer = await client.post("/v1/events", content=b"[1,", headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["detail"]) == (400, "not JSON: it ends too early")
    assert stored(store) == 0


async def test_a_large_batch_is_handed_over_piece_by_piece(
    client: httpx.AsyncClient, intake: StoreIntake, store: Store
) -> None:
    lines = "\n".join(json.dumps(event(number)) for number in range(600))
    answer = await client.post("/v1/events", content=lines, headers=NDJSON)
    assert answer.json() == {"accepted": 600, "duplicates": 0, "refused": [], "refused_count": 0}
    assert intake.handed_over == [250, 250, 100]
    assert stored(store) == 600


async def test_bodies_are_bounded_and_typed(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/events", content=b" " * 10_000_001)).status_code == 413
    answer = await client.post("/v1/events", content=b"a,b", headers={"content-type": "text/csv"})
    assert answer.status_code == 415
    assert answer.json()["detail"].startswith("text/csv is not understood here; send application/json, ")


async def test_events_need_their_own_scope(client: httpx.AsyncClient, store: Store) -> None:
    secret = create_key(store, "x", [Scope.DEVICES_WRITE], NOW).secret
    answer = await client.post("/v1/events", json=event(), headers={"authorization": f"Bearer {secret}"})
    assert (answer.status_code, answer.json()["detail"]) == (403, "this key lacks the scope events:write")


async def test_what_is_not_on_disk_is_never_answered_with_success(
    client: httpx.AsyncClient, store: Store, monkeypatch: pytest.MonkeyPatch, intake: StoreIntake
) -> None:
    async def broken(_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(intake, "events", broken)
    answer = await client.post("/v1/events", json=event())
    assert (answer.status_code, answer.json()["title"]) == (500, "Internal Server Error")
    assert "disk full" not in answer.text
