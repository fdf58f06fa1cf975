"""Provider tokens: signatures, teams and how often they may change on a connection."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from simulator_client import KEY, NOW, provider_token, request_headers

from scheduler.domain.errors import OperatorError
from scheduler.simulator.provider_tokens import ConnectionTokens, ProviderToken, TokenKey, TokenReader, load_key

KEYS = {"KEY1234567": TokenKey("TEAM123456", KEY.public_key())}
AT = NOW.timestamp()


def test_a_signature_is_accepted_raw_and_in_der() -> None:
    raw = provider_token()
    message = raw.rpartition(".")[0]
    der = base64.urlsafe_b64encode(KEY.sign(message.encode(), ec.ECDSA(SHA256()))).rstrip(b"=").decode()
    read = TokenReader(KEYS).read
    expected = ProviderToken("KEY1234567", "TEAM123456", int(AT))
    assert read(raw.encode()) == expected
    assert read(f"{message}.{der}".encode()) == expected


def test_a_wrong_signature_key_or_team_is_no_token() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    wrong = [provider_token(key=other), provider_token(key_id="OTHER12345"), provider_token(team="OTHER12345")]
    assert [TokenReader(KEYS).read(token.encode()) for token in wrong] == [None, None, None]
    assert all(TokenReader({}).read(token.encode()) for token in wrong)


def test_the_form_is_checked_without_keys() -> None:
    claims = {"iss": "TEAM123456", "iat": int(AT)}
    wrong = [
        jwt.encode(claims, "secret" * 8, algorithm="HS256", headers={"kid": "KEY1234567"}),
        jwt.encode(claims, KEY, algorithm="ES256"),
        jwt.encode({"iat": int(AT)}, KEY, algorithm="ES256", headers={"kid": "KEY1234567"}),
        jwt.encode({"iss": "TEAM123456"}, KEY, algorithm="ES256", headers={"kid": "KEY1234567"}),
        jwt.encode({**claims, "iat": "now"}, KEY, algorithm="ES256", headers={"kid": "KEY1234567"}),
        provider_token() + ".more",
        "..",
        provider_token().replace(".", ".!", 1),
    ]
    assert [TokenReader({}).read(token.encode()) for token in wrong] == [None] * len(wrong)


async def test_a_bad_signature_is_refused_where_keys_are_given(start: Any) -> None:
    simulator = await start(keys=KEYS)
    forged = provider_token(key=ec.generate_private_key(ec.SECP256R1()))
    async with simulator.connect() as client:
        refused = await client.ask(request_headers(authorization=f"bearer {forged}"))
        accepted = await client.ask()
    assert (refused.status, refused.reason, accepted.status) == (403, "InvalidProviderToken", 200)


async def test_a_token_of_another_team_is_refused_on_the_same_connection_only(start: Any) -> None:
    simulator = await start()
    other = request_headers(authorization=f"bearer {provider_token(team='OTHER12345')}")
    async with simulator.connect() as client:
        assert (await client.ask()).status == 200
        refused = await client.ask(other)
        assert (refused.status, refused.reason) == (403, "InvalidProviderToken")
        assert (await client.ask()).status == 200
    async with simulator.connect() as client:
        assert (await client.ask(other)).status == 200


async def test_a_second_token_within_20_minutes_is_too_many_on_that_connection(start: Any) -> None:
    simulator = await start()
    newer = request_headers(authorization=f"bearer {provider_token(age=-1)}")
    async with simulator.connect() as client:
        assert (await client.ask()).status == 200
        simulator.clock.advance(20 * 60 - 1)
        refused = await client.ask(newer)
        assert (refused.status, refused.reason) == (429, "TooManyProviderTokenUpdates")
        assert (await client.ask()).status == 200
        simulator.clock.advance(1)
        assert (await client.ask(newer)).status == 200
    async with simulator.connect() as client:
        assert (await client.ask(newer)).status == 200


def test_a_token_expires_after_an_hour_on_a_connection_that_it_opened() -> None:
    tokens = ConnectionTokens(TokenReader({}))
    authorization = f"bearer {provider_token()}".encode()
    assert tokens.refuse(authorization, AT) is None
    assert tokens.refuse(authorization, AT + 3600) is None
    assert tokens.refuse(authorization, AT + 3601) == "ExpiredProviderToken"


def test_a_key_is_read_from_its_private_or_its_public_half(tmp_path: Path) -> None:
    private = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for pem in (private, public):
        (tmp_path / "key.p8").write_bytes(pem)
        key = load_key(tmp_path / "key.p8", "TEAM123456")
        assert (key.team, key.public_key.public_numbers()) == ("TEAM123456", KEY.public_key().public_numbers())


def test_a_file_that_holds_no_p256_key_is_an_operator_error(tmp_path: Path) -> None:
    path = tmp_path / "key.p8"
    path.write_text("no key")
    with pytest.raises(OperatorError) as error:
        load_key(path, "TEAM123456")
    assert str(error.value).startswith(f"{path}: not a readable key: ")
    assert str(error.value).endswith("\n  hint: give the .p8 file from Apple")
    rsa_key = rsa.generate_private_key(65537, 2048)
    path.write_bytes(rsa_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(OperatorError) as error:
        load_key(path, "TEAM123456")
    assert str(error.value) == (
        f"{path}: not a P-256 key\n  hint: provider tokens are signed with ES256, which needs one"
    )


def test_a_garbled_der_signature_is_no_token() -> None:
    message = provider_token().rpartition(".")[0]
    der = utils.encode_dss_signature(1, 1)
    garbled = base64.urlsafe_b64encode(der).rstrip(b"=").decode()
    assert TokenReader(KEYS).read(f"{message}.{garbled}".encode()) is None
