"""What a link does with its credentials: a clock that is wrong, and certificates in place of tokens."""

from __future__ import annotations

from apns_peer import Joined, requests

from scheduler.apns.link_laws import CloseReason, LinkLaws, Retirement

EXPIRED = "ExpiredProviderToken"


def test_new_token_that_is_called_expired_stops_the_app_and_names_the_difference() -> None:
    pair = Joined()
    pair.start(requests(1))
    pair.server.h2.send_headers(1, [(":status", "403"), ("date", "Sun, 01 Mar 2026 02:30:00 GMT")])
    pair.server.h2.send_data(1, b'{"reason":"ExpiredProviderToken"}', end_stream=True)
    pair.exchange()
    assert pair.laws.stop_app == (
        "ExpiredProviderToken: a provider token signed 0 s ago is more than an hour old for APNs: this machine's clock "
        "shows 2026-03-01 00:00:00 UTC, that of APNs 2026-03-01 02:30:00, a difference of 150 minutes"
    )
    assert pair.laws.retirement == Retirement(CloseReason.REPLACED, EXPIRED)


def test_token_that_is_invalid_because_the_clock_is_ahead_names_the_difference() -> None:
    pair = Joined()
    pair.start(requests(1))
    pair.server.h2.send_headers(1, [(":status", "403"), ("date", "Sat, 28 Feb 2026 22:00:00 GMT")])
    pair.server.h2.send_data(1, b'{"reason":"InvalidProviderToken"}', end_stream=True)
    pair.exchange()
    assert pair.laws.stop_app == (
        "InvalidProviderToken: this machine's clock shows 2026-03-01 00:00:00 UTC, that of APNs 2026-02-28 22:00:00, "
        "a difference of 120 minutes"
    )


def test_answer_about_a_token_of_before_does_not_blame_the_clock() -> None:
    pair = Joined()
    pair.start(requests(1))
    pair.server.answer(1)
    pair.exchange()
    pair.start(requests(1))
    pair.clock.advance(3_000)
    pair.start(requests(1))  # with a new token, on the same link
    for stream in (3, 5):
        pair.server.answer(stream, 403, EXPIRED)
    pair.exchange()
    assert pair.laws.stop_app is None
    assert pair.laws.retirement == Retirement(CloseReason.REPLACED, EXPIRED)


def test_link_with_a_certificate_sends_no_token_and_opens_all_streams_at_once() -> None:
    pair = Joined()
    pair.laws = LinkLaws("api.push.example", None, pair.now)
    pair.server.__post_init__()
    pair.exchange()
    assert pair.start(requests(5)) == 5
    assert all("authorization" not in asked for asked in pair.server.asked.values())
    assert pair.server.asked[1]["apns-topic"] == "com.example.app"
    assert not pair.laws.proved, "an answer has yet to show that the certificate is good"
