"""Scopes of keys, wedged connections, and client certificates."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from simulator_client import KEY, NOW, TOPIC, H2Client, provider_token, request_headers

from scheduler.domain.errors import OperatorError
from scheduler.simulator.certificates import authority, server_tls
from scheduler.simulator.checks import Request, World, judge
from scheduler.simulator.client_certificates import ClientCertificate, issue_push_certificate, read_certificate
from scheduler.simulator.devices import Environment
from scheduler.simulator.provider_tokens import ConnectionTokens, TokenKey, TokenReader

AT = NOW.timestamp()
OTHER = ec.generate_private_key(ec.SECP256R1())


def key(**scope: Any) -> TokenKey:
    return TokenKey("TEAM123456", KEY.public_key(), **scope)


def ask(tokens: ConnectionTokens, key_id: str = "KEY1234567", *, age: int = 0) -> str | None:
    return tokens.refuse(f"bearer {provider_token(key_id=key_id, age=age)}".encode(), AT)


def test_a_key_of_the_other_environment_is_refused_where_one_is_played() -> None:
    keys = {"KEY1234567": key(environment=Environment.PRODUCTION)}
    assert ask(ConnectionTokens(TokenReader(keys), Environment.SANDBOX)) == "BadEnvironmentKeyIdInToken"
    assert ask(ConnectionTokens(TokenReader(keys), Environment.PRODUCTION)) is None
    assert ask(ConnectionTokens(TokenReader(keys))) is None


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({}, {}, "TooManyProviderTokenUpdates"),
        ({}, {"topics": frozenset({TOPIC})}, "UnrelatedKeyIdInToken"),
        ({"topics": frozenset({TOPIC})}, {}, "UnrelatedKeyIdInToken"),
        ({"topics": frozenset({TOPIC})}, {"topics": frozenset({TOPIC})}, "TooManyProviderTokenUpdates"),
        ({"topics": frozenset({TOPIC})}, {"topics": frozenset({"com.example.b"})}, "UnrelatedKeyIdInToken"),
        ({"environment": Environment.SANDBOX}, {}, "UnrelatedKeyIdInToken"),
    ],
)
def test_the_first_key_binds_its_scope_to_the_connection(
    first: dict[str, Any], second: dict[str, Any], expected: str
) -> None:
    tokens = ConnectionTokens(TokenReader({"KEY1234567": key(**first), "KEY7654321": key(**second)}))
    assert ask(tokens) is None
    assert ask(tokens, "KEY7654321") == expected
    assert ask(tokens) is None


@pytest.mark.parametrize(
    ("topic", "push_type", "reason"),
    [
        (TOPIC, "alert", None),
        (f"{TOPIC}.voip", "voip", None),
        ("com.example.other", "alert", "TopicDisallowed"),
        ("com.example.other.voip", "voip", "TopicDisallowed"),
    ],
)
def test_a_key_for_topics_is_for_these_and_their_push_types(topic: str, push_type: str, reason: str | None) -> None:
    tokens = ConnectionTokens(TokenReader({"KEY1234567": key(topics=frozenset({TOPIC}))}))
    assert _judged(tokens, apns_topic=topic, apns_push_type=push_type) == reason


def _judged(credentials: Any, **changes: str | None) -> str | None:
    request = Request((name.encode(), value.encode()) for name, value in request_headers(**changes))
    request.extend(b'{"aps":{}}')
    return judge(World(), request, credentials, AT).reason


def test_an_expired_token_wedges_its_connection_and_no_other() -> None:
    reader = TokenReader({})
    wedged, other = ConnectionTokens(reader), ConnectionTokens(reader)
    assert ask(wedged) is None
    assert ask(wedged, age=3601) == "ExpiredProviderToken"
    assert ask(wedged) == "ExpiredProviderToken"
    assert wedged.refuse(None, AT) == "ExpiredProviderToken"
    assert ask(other) is None


def _certificate(folder: Path, bundle_id: str = TOPIC, **options: Any) -> ClientCertificate:
    pem = issue_push_certificate(folder / "ca.pem", bundle_id, **options)
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    return read_certificate(der, Environment.SANDBOX)


def test_the_topics_of_a_certificate_are_its_uid_and_its_extension(tmp_path: Path) -> None:
    many = [f"{TOPIC}.{'x' * 60}{number}" for number in range(10)]
    listed = _certificate(tmp_path, topics=[f"{TOPIC}.voip", *many])
    assert listed.topics == {topic.encode() for topic in (TOPIC, f"{TOPIC}.voip", *many)}
    assert (listed.base_topic, listed.default_topic) == (TOPIC.encode(), None)
    single = _certificate(tmp_path)
    assert (single.topics, single.default_topic) == (frozenset(), TOPIC.encode())


def test_a_certificate_is_for_its_topics_alone_and_authorization_is_ignored(tmp_path: Path) -> None:
    single, listed = _certificate(tmp_path), _certificate(tmp_path, topics=[f"{TOPIC}.voip"])
    voip = {"apns_topic": f"{TOPIC}.voip", "apns_push_type": "voip"}
    assert _judged(single, authorization="nonsense") is None
    assert _judged(single, authorization=None, apns_topic=None) is None
    assert _judged(single, **voip) == "TopicDisallowed"
    assert _judged(single, apns_topic="com.example.other") == "TopicDisallowed"
    assert _judged(listed, **voip) is None
    assert _judged(listed, apns_topic=None) == "MissingTopic"


def test_a_certificate_of_the_other_environment_or_without_topic_is_refused(tmp_path: Path) -> None:
    assert _judged(_certificate(tmp_path, environments=[Environment.PRODUCTION])) == "BadCertificateEnvironment"
    assert _judged(_certificate(tmp_path, environments=[])) is None
    assert _judged(ClientCertificate(frozenset(), None, frozenset())) == "BadCertificate"


@asynccontextmanager
async def shown(simulator: Any, certificate: Path) -> AsyncIterator[H2Client]:
    tls = ssl.create_default_context(cafile=str(simulator.ca_file))
    tls.set_alpn_protocols(["h2"])
    tls.load_cert_chain(certificate)
    socket = await trio.open_tcp_stream("127.0.0.1", simulator.port)
    async with trio.SSLStream(socket, tls, server_hostname="localhost", https_compatible=True) as stream:
        client = H2Client(stream)
        await client.greet()
        yield client


async def test_a_connection_with_a_certificate_has_its_streams_at_once_and_needs_no_token(
    start: Any, tmp_path: Path
) -> None:
    simulator = await start()
    certificate = tmp_path / "client.pem"
    certificate.write_bytes(issue_push_certificate(simulator.ca_file, TOPIC))
    async with shown(simulator, certificate) as client:
        while client.stream_limits[-1] != 1000:
            await client.read()
        first = await client.ask(request_headers(authorization=None, apns_topic=None))
        other = await client.ask(request_headers(authorization=None, apns_topic="com.example.other"))
    assert (first.status, other.status, other.reason) == (200, 400, "TopicDisallowed")
    assert [line["topic"] for line in simulator.log()] == [TOPIC, "com.example.other"]


async def test_a_certificate_of_an_unknown_authority_does_not_get_through(start: Any, tmp_path: Path) -> None:
    simulator = await start()
    certificate = tmp_path / "client.pem"
    certificate.write_bytes(issue_push_certificate(tmp_path / "elsewhere" / "ca.pem", TOPIC))
    with pytest.raises((trio.BrokenResourceError, ssl.SSLError)):  # either end of TLS may notice first
        async with shown(simulator, certificate) as client:
            await client.ask()
    assert simulator.statistics.requests == 0


def test_an_authority_of_clients_that_cannot_be_read_is_an_operator_error(tmp_path: Path) -> None:
    path = tmp_path / "clients.pem"
    path.write_text("nothing")
    with pytest.raises(OperatorError) as error:
        server_tls(authority(tmp_path / "ca.pem"), path)
    assert str(error.value).startswith(f"{path}: no authority can be read from it: ")
    assert str(error.value).endswith("hint: give the certificates (PEM) of whoever signs the clients' certificates")
