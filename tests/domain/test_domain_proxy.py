"""The address of a proxy: what is read, and what is said of the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.proxy import Proxy, parse_proxy


@pytest.mark.parametrize(
    ("text", "proxy"),
    [
        ("http://proxy.example:3128", Proxy("proxy.example", 3128)),
        ("http://proxy.example:3128/", Proxy("proxy.example", 3128)),
        ("http://10.0.0.1:8080", Proxy("10.0.0.1", 8080)),
        ("http://[::1]:8080", Proxy("::1", 8080)),
        ("http://anna@proxy.example:3128", Proxy("proxy.example", 3128, "anna")),
        ("http://anna:a%3Ab%40c@proxy.example:3128", Proxy("proxy.example", 3128, "anna", "a:b@c")),
    ],
)
def test_an_address_is_read(text: str, proxy: Proxy) -> None:
    assert parse_proxy(text) == proxy


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("proxy.example:3128", "is no address of a proxy; write http://HOST:PORT"),
        ("http://:3128", "is no address of a proxy; write http://HOST:PORT"),
        ("http://pro xy:3128", "is no address of a proxy; write http://HOST:PORT"),
        ("http://proxy.example:99999", "is no address of a proxy; write http://HOST:PORT"),
        ("http://[::1", "is no address of a proxy; write http://HOST:PORT"),
        ("socks5://proxy.example:1080", "is no address of a proxy; write http://HOST:PORT"),
        ("http://proxy.example", "has no port; write http://HOST:PORT, often with 3128 or 8080"),
        ("http://proxy.example:3128/path", "has something behind the port; write http://HOST:PORT"),
        (
            "https://proxy.example:3128",
            "must begin with http://: how the proxy itself is spoken to. Write http://HOST:PORT; "
            "Apple's TLS goes through it untouched",
        ),
        (
            "http://a%3Ab:geheim@proxy.example:1",
            "has a user with a `:`, or a character that cannot be seen: neither can be sent (RFC 7617 §2)",
        ),
        (
            "http://a:geheim%0d%0aX@proxy.example:1",
            "has a user with a `:`, or a character that cannot be seen: neither can be sent (RFC 7617 §2)",
        ),
    ],
)
def test_what_is_no_address_of_a_proxy_says_why_without_the_password(text: str, says: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_proxy(text)
    assert str(caught.value) == says


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_a_clear_error(text: str) -> None:
    for tried in (text, f"http://{text}", f"http://a:{text}@h:1", f"http://{text}:1"):
        said = ""
        try:
            proxy = parse_proxy(tried)
            assert proxy.host.isascii()
            assert not {"\r", "\n"} & set(f"{proxy.user}{proxy.password}")
        except ValueError as problem:
            said = str(problem)
        assert said == "" or "HOST:PORT" in said or "RFC 7617" in said


def test_the_password_is_in_no_text_of_it() -> None:
    proxy = parse_proxy("http://anna:geheim@proxy.example:3128")
    assert "geheim" not in f"{proxy} {proxy!r}"
