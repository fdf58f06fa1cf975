from __future__ import annotations

from typing import Any

import httpx
import pytest
from api_store_intake import NOW

from scheduler.runs.keys import create_key
from scheduler.store.api_keys import Scope
from scheduler.store.database import Store
from scheduler.store.registry import Found, find_device
from scheduler.store.registry_users import fetch_users

TOKEN = "00fc13adff785122"
DEVICE = f"/v1/devices/scores/{TOKEN}"


def problem(response: httpx.Response) -> tuple[int, str | None, str]:
    """Status, field and detail of an answer that must be a problem of RFC 9457."""
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["type"], body["status"]) == ("about:blank", response.status_code)
    assert body["title"]
    return response.status_code, body.get("field"), body["detail"]


def find(store: Store) -> Found | None:
    with store.read() as tx:
        return find_device(tx, "scores", TOKEN)


async def test_a_put_device_is_on_disk_when_it_is_answered(client: httpx.AsyncClient, store: Store) -> None:
    body = {
        "user": "anna",
        "locale": "de_at",
        "topics": ["team:A"],
        "attributes": {"unread": 1},
        "user_attributes": {"first_name": "Zoë"},
    }
    answer = await client.put(DEVICE.upper().replace("/V1/DEVICES/SCORES", "/v1/devices/scores"), json=body)
    assert (answer.status_code, answer.content) == (204, b"")
    found = find(store)
    assert found is not None
    assert found.user is not None
    assert (found.device.locale, found.device.topics, found.device.attributes) == ("de-AT", ("team:A",), {"unread": 1})
    assert found.user.attributes == {"first_name": "Zoë"}


async def test_put_merges_and_null_removes(client: httpx.AsyncClient, store: Store) -> None:
    await client.put(DEVICE, json={"locale": "de", "attributes": {"unread": 1, "alerts": "all"}})
    await client.put(DEVICE, json={"locale": None, "attributes": {"unread": None}})
    assert (await client.put(DEVICE)).status_code == 204
    found = find(store)
    assert found is not None
    assert (found.device.locale, found.device.attributes) == (None, {"alerts": "all"})


async def test_a_deleted_device_is_gone_and_its_second_deletion_says_so(
    client: httpx.AsyncClient, store: Store
) -> None:
    await client.put(DEVICE)
    assert (await client.delete(DEVICE)).status_code == 204
    assert find(store) is None
    assert problem(await client.delete(DEVICE)) == (404, "token", "there is no such device")


async def test_users_are_merged_and_erased_with_their_devices(client: httpx.AsyncClient, store: Store) -> None:
    await client.put(DEVICE, json={"user": "team/anna b"})
    path = "/v1/users/team%2Fanna%20b"
    body = {"attributes": {"first_name": "A"}, "opt_outs": ["marketing"], "time_zone": "Europe/Vienna", "locale": "de"}
    assert (await client.put(path, json=body)).status_code == 204
    assert (await client.put(path, json={"locale": None})).status_code == 204
    with store.read() as tx:
        user = fetch_users(tx, ["team/anna b"])["team/anna b"]
    assert (user.attributes, user.opt_outs) == ({"first_name": "A"}, {"marketing"})
    assert (user.time_zone, user.locale) == ("Europe/Vienna", None)
    assert (await client.delete(path)).status_code == 204
    assert find(store) is None
    assert problem(await client.delete(path)) == (404, "user", "nothing is known of this user")


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("/v1/devices/scoers/aa", b"{}", (422, "app", "app 'scoers' is not in clarion.yaml; did you mean 'scores'?")),
        (
            "/v1/devices/scores/xyz",
            b"{}",
            (422, "token", "token 'xyz': a device token is 2 to 512 hex digits, an even number of them"),
        ),
        (DEVICE, b"{", (400, None, "not JSON: it ends too early")),
        (DEVICE, b"[]", (400, None, "this must be an object, not a list")),
        (
            DEVICE,
            b'{"local": "de"}',
            (422, "local", "local is not a field; did you mean 'locale'?"),
        ),
        (DEVICE, b'{"user": 7}', (422, "user", "user must be a string or null, not an integer")),
        (DEVICE, b'{"user": ""}', (422, "user", "user '' is not 1 to 256 printable characters")),
        (
            DEVICE,
            b'{"locale": "german"}',
            (422, "locale", "locale 'german' is not a tag of BCP 47 such as 'de-AT'"),
        ),
        (
            DEVICE,
            b'{"time_zone": "Mars"}',
            (422, "time_zone", "time_zone 'Mars' is not in the IANA database"),
        ),
        (
            DEVICE,
            b'{"topics": ["a|b"]}',
            (422, "topics", "topics: 'a|b' is not 1 to 256 printable characters without '|' and without spaces around"),
        ),
        (
            DEVICE,
            b'{"attributes": {"unread": "1"}}',
            (422, "attributes.unread", "attributes.unread is '1', not an integer"),
        ),
        (
            DEVICE,
            b'{"attributes": {"unread": 9223372036854775808}}',
            (422, "attributes.unread", "attributes.unread is 9223372036854775808, beyond 64 bits"),
        ),
        (
            "/v1/users/anna",
            b'{"attributes": {"name": "A"}}',
            (422, "attributes.name", "attributes.name is not declared in schema.yaml"),
        ),
        (
            "/v1/users/anna",
            b'{"opt_outs": [""]}',
            (422, "opt_outs", "opt_outs '' is not 1 to 256 printable characters"),
        ),
        ("/v1/users/", b"{}", (422, "user", "user '' is not 1 to 256 printable characters")),
    ],
)
async def test_a_refusal_names_the_field(
    client: httpx.AsyncClient, path: str, content: bytes, expected: tuple[Any, ...]
) -> None:
    assert problem(await client.put(path, content=content)) == expected


async def test_bodies_are_bounded_and_typed(client: httpx.AsyncClient) -> None:
    assert problem(await client.put(DEVICE, content=b" " * 1_000_001)) == (
        413,
        None,
        "the body is larger than 1000000 bytes",
    )
    assert problem(await client.put(DEVICE, content=b"a: 1", headers={"content-type": "text/yaml; x=y"})) == (
        415,
        None,
        "text/yaml is not understood here; send application/json",
    )
    assert problem(await client.put(DEVICE, content=b"x", headers={"content-encoding": "gzip"})) == (
        415,
        None,
        "a compressed body is not understood; send it as it is",
    )


@pytest.mark.parametrize("header", ["", "Basic YTpi", "Bearer", "Bearer  "])
async def test_without_a_key_nothing_is_done(client: httpx.AsyncClient, store: Store, header: str) -> None:
    answer = await client.put(DEVICE, headers={"authorization": header})
    assert problem(answer) == (
        401,
        None,
        "a key is needed: send 'Authorization: Bearer KEY'; 'clarion keys create' makes one",
    )
    assert answer.headers["www-authenticate"] == "Bearer"
    assert find(store) is None


async def test_a_key_opens_what_its_scopes_say(client: httpx.AsyncClient, store: Store) -> None:
    events, admin = (create_key(store, "x", [scope], NOW).secret for scope in (Scope.EVENTS_WRITE, Scope.ADMIN))
    answer = await client.put(DEVICE, headers={"authorization": f"Bearer {events}"})
    assert problem(answer) == (403, None, "this key lacks the scope devices:write")
    assert answer.headers["www-authenticate"] == 'Bearer error="insufficient_scope", scope="devices:write"'
    assert (await client.put(DEVICE, headers={"authorization": f"bearer {admin}"})).status_code == 204
    answer = await client.put(DEVICE, headers={"authorization": "Bearer clarion_wrong"})
    assert problem(answer) == (401, None, "this key is unknown or revoked")


async def test_unknown_paths_and_methods_are_problems_too(client: httpx.AsyncClient) -> None:
    assert problem(await client.get("/v2")) == (404, None, "there is nothing at /v2")
    answer = await client.post("/v1/users/anna")
    assert problem(answer) == (405, None, "POST is not understood here")
    assert set(answer.headers["allow"].split(", ")) == {"PUT", "DELETE"}
