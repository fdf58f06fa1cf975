"""Requests, answers, the reason table, retry times and the provider token."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import example, given
from hypothesis import strategies as st

from scheduler.apns.provider_token import ProviderTokenSource
from scheduler.apns.reasons import (
    TABLE,
    AppAction,
    DeviceAction,
    LinkAction,
    RequestAction,
    advice,
    disposition,
    retry_after,
)
from scheduler.apns.request import HeaderSet, check_collapse_id, check_token
from scheduler.apns.results import ACCEPTED_ANSWER, Answer, read_answer
from scheduler.delivery.retry_times import reconnect_delay
from scheduler.domain.clock import VirtualClock
from scheduler.domain.errors import OperatorError
from scheduler.domain.push_types import PushType

# --- requests


def test_each_push_type_has_its_suffix_priorities_and_limit() -> None:
    assert {kind.value: (kind.topic_suffix, kind.priorities, kind.payload_limit) for kind in PushType} == {
        "alert": ("", (10, 5, 1), 4096),
        "background": ("", (5, 1), 4096),
        "liveactivity": (".push-type.liveactivity", (10, 5), 4096),
        "voip": (".voip", (10, 5, 1), 5120),
        "complication": (".complication", (10, 5, 1), 4096),
        "fileprovider": (".pushkit.fileprovider", (5, 10, 1), 4096),
        "mdm": ("", (10, 5, 1), 4096),
        "location": (".location-query", (10, 5, 1), 4096),
        "pushtotalk": (".voip-ptt", (10, 5, 1), 4096),
        "widgets": (".push-type.widgets", (10, 5, 1), 4096),
        "controls": (".push-type.controls", (10, 5, 1), 4096),
    }


@pytest.mark.parametrize(
    ("topic", "push_type", "priority", "text"),
    [
        ("", PushType.ALERT, 10, "'' is not an apns-topic: 1 to 255 printable ASCII characters, no spaces"),
        ("a\r\nb", PushType.ALERT, 10, "'a\\r\\nb' is not an apns-topic"),
        ("ä.b", PushType.ALERT, 10, "'ä.b' is not an apns-topic"),
        ("a" * 256, PushType.ALERT, 10, "is not an apns-topic"),
        ("a.b", PushType.VOIP, 10, "the topic of a voip push ends in '.voip', not 'a.b'"),
        ("a.b", PushType.ALERT, 7, "the priority of push type alert is one of 10, 5, 1, not 7"),
        (
            "a.b.push-type.liveactivity",
            PushType.LIVE_ACTIVITY,
            1,
            "the priority of push type liveactivity is one of 10, 5, not 1",
        ),
        ("a.b", PushType.BACKGROUND, 10, "the priority of push type background is one of 5, 1, not 10"),
    ],
)
def test_header_set_says_what_is_wrong_with_it(topic: str, push_type: PushType, priority: int, text: str) -> None:
    with pytest.raises(ValueError) as caught:
        HeaderSet(topic, push_type, priority)
    assert text in str(caught.value)


@given(st.text())
def test_a_token_that_passes_is_hex_and_nothing_else(text: str) -> None:
    try:
        check_token(text)
    except ValueError:
        return
    assert bytes.fromhex(text).hex() == text.lower()


@pytest.mark.parametrize("bad", ["", "a", "0", "abc", "zz", "00\n", "00\r\n", " 00", "0" * 514, "٠٠"])
def test_a_bad_token_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="a device token is 2 to 512 hex digits"):
        check_token(bad)


@pytest.mark.parametrize("good", ["00", "AbCd", "f" * 64, "0" * 512])
def test_no_assumption_about_the_length_of_a_token(good: str) -> None:
    assert check_token(good) == good


def test_collapse_id_is_counted_in_bytes_and_printable() -> None:
    assert check_collapse_id("ü" * 32) == "ü" * 32
    with pytest.raises(ValueError, match="a collapse id has at most 64 bytes"):
        check_collapse_id("ü" * 33)
    for bad in ("", "a\nb", "a\r", "\x7f", "\ud800"):
        with pytest.raises(ValueError, match="a collapse id is not empty and has printable characters only"):
            check_collapse_id(bad)


# --- answers


@pytest.mark.parametrize(
    ("status", "body", "answer"),
    [
        (200, b"", ACCEPTED_ANSWER),
        (200, b"{}", ACCEPTED_ANSWER),
        (400, b'{"reason":"BadDeviceToken"}', Answer(400, "BadDeviceToken")),
        (410, b'{"reason":"Unregistered","timestamp":1508249865488}', Answer(410, "Unregistered", 1508249865488)),
        (410, b'{"reason":"Unregistered","timestamp":"1"}', Answer(410, "Unregistered")),
        (410, b'{"reason":"Unregistered","timestamp":true}', Answer(410, "Unregistered")),
        (410, b'{"reason":"Unregistered","timestamp":-1}', Answer(410, "Unregistered")),
        (410, b'{"reason":"Unregistered","timestamp":253402300800000}', Answer(410, "Unregistered")),
        (400, b'{"reason":"Reason\\nWithLines"}', Answer(400)),
        (400, b'{"reason":"' + b"x" * 200 + b'"}', Answer(400, "x" * 100)),
        (503, b"<html>", Answer(503)),
        (500, b"[1]", Answer(500)),
        (500, b"\xff\xfe", Answer(500)),
        (500, b"[" * 4096, Answer(500)),
        (403, b'{"reason":7}', Answer(403)),
        (418, b'{"reason":"NewReason"}', Answer(418, "NewReason")),
    ],
)
def test_answers_are_read_defensively(status: int, body: bytes, answer: Answer) -> None:
    assert read_answer(status, body) == answer


@given(st.integers(100, 599), st.binary(max_size=60))
def test_no_body_raises(status: int, body: bytes) -> None:
    assert read_answer(status, body).status == status


@given(st.integers())
@example(253_402_300_799_999)
@example(2**63 - 1)
def test_a_timestamp_that_is_kept_is_an_instant(timestamp: int) -> None:
    kept = read_answer(410, b'{"reason":"Unregistered","timestamp":%d}' % timestamp).timestamp_ms
    assert kept is None or (kept == timestamp and datetime.fromtimestamp(kept / 1000, UTC))


# --- reasons

APPLE = """
400 BadCollapseId BadDeviceToken BadExpirationDate BadMessageId BadPriority BadTopic DeviceTokenNotForTopic
400 DuplicateHeaders IdleTimeout InvalidPushType MissingDeviceToken MissingTopic PayloadEmpty TopicDisallowed
403 BadCertificate BadCertificateEnvironment ExpiredProviderToken Forbidden InvalidProviderToken
403 MissingProviderToken UnrelatedKeyIdInToken BadEnvironmentKeyIdInToken
404 BadPath
405 MethodNotAllowed
410 ExpiredToken Unregistered
413 PayloadTooLarge
429 TooManyProviderTokenUpdates TooManyRequests
500 InternalServerError
503 ServiceUnavailable Shutdown
"""


def by(action: object, attribute: str) -> set[str]:
    return {reason for (_, reason), wanted in TABLE.items() if getattr(wanted, attribute) == action}


def test_the_table_has_every_reason_of_apples_page_and_no_other() -> None:
    listed = {(int(line.split()[0]), reason) for line in APPLE.split("\n") if line for reason in line.split()[1:]}
    assert set(TABLE) == listed


def test_what_each_reason_does_to_the_request() -> None:
    assert by(RequestAction.RESEND, "request") == {
        "IdleTimeout",
        "ExpiredProviderToken",
        "UnrelatedKeyIdInToken",
        "TooManyProviderTokenUpdates",
        "Shutdown",
    }
    assert by(RequestAction.RETRY, "request") == {"TooManyRequests", "InternalServerError", "ServiceUnavailable"}
    assert by(RequestAction.HOLD, "request") == by(AppAction.STOP, "app")
    assert by(AppAction.STOP, "app") == {
        "BadCertificate",
        "BadCertificateEnvironment",
        "BadEnvironmentKeyIdInToken",
        "InvalidProviderToken",
        "MissingProviderToken",
    }


def test_410_retires_a_device_and_a_bad_token_does_where_the_environment_is_proved() -> None:
    assert by(DeviceAction.RETIRE, "device") == {"ExpiredToken", "Unregistered"}
    assert by(DeviceAction.RETIRE_IF_PROVED, "device") == {"BadDeviceToken"}


def test_whatever_is_final_and_no_news_of_a_device_says_what_to_put_right() -> None:
    final = {reason for (_, reason), wanted in TABLE.items() if wanted.request is RequestAction.REJECT}
    stops = by(AppAction.STOP, "app")
    assert {reason for _, reason in TABLE if advice(reason)} == (final | stops) - {"ExpiredToken", "Unregistered"}
    assert advice("BadDeviceToken") == (
        "is it a token of the other environment? `apps.NAME.environment` in clarion.yaml says which one is sent to"
    )
    assert advice("NeverHeardOf") is None


def test_only_an_expired_provider_token_is_rotated() -> None:
    assert by(LinkAction.ROTATE, "link") == {"ExpiredProviderToken"}


@pytest.mark.parametrize(
    ("answer", "request_action", "device", "doubts"),
    [
        (ACCEPTED_ANSWER, RequestAction.ACCEPT, DeviceAction.KEEP, False),
        (Answer(410, "Whatever"), RequestAction.REJECT, DeviceAction.RETIRE, False),
        (Answer(429), RequestAction.RETRY, DeviceAction.KEEP, False),
        (Answer(502), RequestAction.RETRY, DeviceAction.KEEP, True),
        (Answer(503, "Service Unavailable"), RequestAction.RETRY, DeviceAction.KEEP, True),
        (Answer(400, "BrandNew"), RequestAction.REJECT, DeviceAction.KEEP, False),
        (Answer(302), RequestAction.REJECT, DeviceAction.KEEP, False),
    ],
)
def test_unknown_reasons_are_decided_by_their_status(
    answer: Answer, request_action: RequestAction, device: DeviceAction, doubts: bool
) -> None:
    wanted = disposition(answer)
    assert (wanted.request, wanted.device, wanted.doubts_token) == (request_action, device, doubts)


# --- retry times


def test_server_errors_wait_a_quarter_of_an_hour_or_half_of_the_remaining_life() -> None:
    answer = Answer(500, "InternalServerError")
    assert retry_after(answer, None, 0.0) == timedelta(minutes=15)
    assert retry_after(answer, None, 0.5) == timedelta(minutes=15, seconds=45)
    assert retry_after(answer, timedelta(minutes=10), 0.9) == timedelta(minutes=5)
    assert retry_after(answer, timedelta(seconds=8), 0.0) == timedelta(seconds=5)
    assert retry_after(answer, timedelta(seconds=5), 0.0) is None
    assert retry_after(answer, timedelta(seconds=-1), 0.0) is None


def test_too_many_requests_pauses_the_device_for_a_minute() -> None:
    assert retry_after(Answer(429, "TooManyRequests"), None, 0.0) == timedelta(minutes=1)


def test_a_resend_is_at_once_unless_it_is_too_late() -> None:
    assert retry_after(Answer(503, "Shutdown"), None, 0.7) == timedelta(0)
    assert retry_after(Answer(503, "Shutdown"), timedelta(0), 0.7) is None


def test_what_is_final_is_not_retried() -> None:
    for answer in (ACCEPTED_ANSWER, Answer(410, "Unregistered"), Answer(403, "InvalidProviderToken")):
        assert retry_after(answer, None, 0.0) is None


@given(st.integers(0, 10_000), st.floats(0, 1, exclude_max=True))
def test_reconnect_delay_stays_between_half_and_a_minute(failures: int, jitter: float) -> None:
    delay = reconnect_delay(failures, jitter)
    assert delay == 0 if failures == 0 else 0.5 <= delay <= 60


# --- provider token

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)


KEY = ec.generate_private_key(ec.SECP256R1())


class TwoHands(VirtualClock):
    """A clock whose calendar can be set."""

    def set_calendar(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    def sleep_with_the_machine(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)


def source(clock: VirtualClock) -> ProviderTokenSource:
    return ProviderTokenSource(pem(KEY), team_id="TEAM123456", key_id="KEY1234567", clock=clock)


def test_token_is_what_apple_asks_for() -> None:
    token = source(VirtualClock(START)).current()
    assert jwt.get_unverified_header(token) == {"alg": "ES256", "kid": "KEY1234567", "typ": "JWT"}
    claims = jwt.decode(token, KEY.public_key(), algorithms=["ES256"], options={"verify_iat": False})
    assert claims == {"iss": "TEAM123456", "iat": int(START.timestamp())}


def test_token_holds_for_fifty_minutes() -> None:
    clock = VirtualClock(START)
    tokens = source(clock)
    first = tokens.current()
    clock.advance(50 * 60 - 1)
    assert tokens.current() == first
    clock.advance(1)
    assert tokens.current() != first
    assert tokens.age == timedelta(0)


def test_age_counts_by_the_clock_that_says_more() -> None:
    slept, put_back = TwoHands(START), TwoHands(START)
    tokens, others = source(slept), source(put_back)
    first, other = tokens.current(), others.current()
    slept.sleep_with_the_machine(3000)
    assert tokens.current() != first
    put_back.set_calendar(-7200)
    put_back.advance(2999)
    assert others.current() == other
    put_back.advance(1)
    assert others.current() != other


def test_a_token_that_is_called_expired_is_signed_anew_from_twenty_minutes_on_and_once() -> None:
    clock = VirtualClock(START)
    tokens = source(clock)
    first = tokens.current()
    clock.advance(20 * 60)
    assert tokens.expired(first, None) is None
    second = tokens.current()
    assert second != first
    assert tokens.expired(first, None) is None, "that one is known"
    assert tokens.current() == second


@pytest.mark.parametrize(
    ("server_is_ahead", "text"),
    [
        (None, ", so the clock of this machine is wrong by at least 59 minutes"),
        (7_384, ": this machine's clock shows 2026-03-01 12:00:40 UTC, that of APNs 2026-03-01 14:03:44, "
                "a difference of 123 minutes"),
        (-90_000, ": this machine's clock shows 2026-03-01 12:00:40 UTC, that of APNs 2026-02-28 11:00:40, "
                  "a difference of 1500 minutes"),
        (3, ", although the clocks agree"),
    ],
)  # fmt: skip
def test_a_new_token_that_is_called_expired_tells_how_wrong_the_clock_is(
    server_is_ahead: int | None, text: str
) -> None:
    clock = VirtualClock(START)
    tokens = source(clock)
    first = tokens.current()
    clock.advance(40)
    at = None if server_is_ahead is None else clock.now() + timedelta(seconds=server_is_ahead)
    assert tokens.expired(first, at) == ("a provider token signed 40 s ago is more than an hour old for APNs" + text)
    assert tokens.current() == first, "another one would be no better"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "not a private key in PEM (PKCS #8)"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "not a private key in PEM (PKCS #8)"),
        (pem(rsa.generate_private_key(65537, 2048)), "not an elliptic-curve key on P-256, which ES256 needs"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "not an elliptic-curve key on P-256, which ES256 needs"),
        (pem(KEY, b"secret"), "the key is protected by a password"),
    ],
)
def test_a_key_that_cannot_sign_is_named(content: bytes, text: str) -> None:
    with pytest.raises(OperatorError) as caught:
        ProviderTokenSource(content, team_id="T", key_id="K", clock=VirtualClock(START), where="AuthKey.p8")
    assert str(caught.value) == (
        f"AuthKey.p8: {text}\n  hint: use the .p8 file as it was downloaded from developer.apple.com "
        "(Certificates, Identifiers & Profiles, Keys)"
    )


def test_ids_that_are_not_letters_and_digits_are_named() -> None:
    with pytest.raises(OperatorError) as caught:
        ProviderTokenSource(pem(KEY), team_id="TE\nAM", key_id="K", clock=VirtualClock(START))
    assert "team id 'TE\\nAM' is not made of letters and digits" in str(caught.value)
