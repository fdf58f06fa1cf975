"""What a link writes for a request, and what it never writes."""

from __future__ import annotations

import random

import pytest
from apns_peer import Joined, proved, requests

from scheduler.apns.request import PushRequest
from scheduler.apns.results import ACCEPTED_ANSWER
from scheduler.domain.errors import Bug


@pytest.mark.parametrize("expiration", [None, 0, 1790000000])
@pytest.mark.parametrize("collapse_id", [None, "goal-é-7"])
def test_a_request_has_apples_headers_and_no_others(expiration: int | None, collapse_id: str | None) -> None:
    pair = Joined()
    pair.start(requests(1, expiration=expiration, collapse_id=collapse_id))
    optional = {"apns-expiration": str(expiration)} if expiration is not None else {}
    optional |= {"apns-collapse-id": collapse_id} if collapse_id else {}
    assert (
        pair.server.asked[1]
        == {
            ":method": "POST",
            ":scheme": "https",
            ":authority": "api.push.example",
            ":path": "/3/device/" + "0" * 64,
            "authorization": f"bearer {pair.tokens.current()}",
            "apns-topic": "com.example.app",
            "apns-push-type": "alert",
            "apns-priority": "10",
            "apns-id": "8f0c2f6e-3bf0-5a3c-9f4e-000000000000",
        }
        | optional
    )


def test_requests_of_different_shapes_go_in_their_order() -> None:
    pair = proved()
    mixed = requests(40)
    chance = random.Random(7)
    for request in mixed:
        request.expiration = chance.choice([None, 0, 1790000000])
        request.collapse_id = chance.choice([None, "one", "two"])
        request.token = "ab" * chance.randint(1, 256)
    assert pair.start(mixed) == 40
    for stream, request in zip(range(3, 83, 2), mixed, strict=True):
        asked = pair.server.asked[stream]
        assert asked[":path"] == f"/3/device/{request.token}"
        assert asked["apns-id"] == request.apns_id
        assert asked.get("apns-collapse-id") == request.collapse_id
        assert asked.get("apns-expiration") == (None if request.expiration is None else str(request.expiration))


@pytest.mark.parametrize(
    "fields",
    [
        {"token": "00\r\nx: y"},
        {"token": "é0"},
        {"token": "00" * 257},
        {"apns_id": "8f0c2f6e-3bf0-5a3c-9f4e-00000000\r\n12"},
        {"apns_id": "short"},
        {"collapse_id": "a\r\nb"},
        {"collapse_id": "x" * 65},
        {"expiration": -1},
    ],
)
def test_what_the_door_should_have_refused_is_never_written(fields: dict[str, object]) -> None:
    pair = proved()
    bad = PushRequest(**{"device": 7, "token": "00", "apns_id": requests(1)[0].apns_id, "payload": b"{}", **fields})  # type: ignore[arg-type]
    with pytest.raises(Bug, match=r"not checked at the door|before 1970"):
        pair.start([*requests(1), bad])
    assert pair.start(requests(1)) == 1, "nothing was started, and the link is as good as before"
    pair.server.answer(3)
    assert pair.exchange() == [ACCEPTED_ANSWER]


def test_a_new_provider_token_is_taken_between_blocks() -> None:
    pair = proved()
    first = pair.tokens.current()
    pair.clock.advance(3000)
    pair.start(requests(2))
    tokens = [pair.server.asked[stream]["authorization"] for stream in (3, 5)]
    assert tokens == [f"bearer {pair.tokens.current()}"] * 2
    assert tokens[0] != f"bearer {first}"
    assert pair.laws.proved, "the link need not prove the next token of the same key"
