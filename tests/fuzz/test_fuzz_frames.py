"""The fuzz target of the frame reader holds for a fixed number of inputs, and finds what it is there to find."""

from __future__ import annotations

import pytest

from fuzz.fuzz_frames import GREETING, KIND, Message, Server
from fuzz.fuzzer import Fuzzer
from scheduler.http2 import answers
from scheduler.http2.connection import ExpressConnection
from scheduler.http2.events import Event
from scheduler.http2.frames import frame


@pytest.mark.slow
def test_any_bytes_of_a_server_are_events_and_end_each_request_once() -> None:
    failure = Fuzzer(Server(), seed=0).failure(runs=3_000)
    assert failure is None, failure.broken.story


def test_one_input_is_played_as_its_first_byte_says() -> None:
    tried = Server().tried(KIND, b"\x07" + frame(1, 5, 1, b"\x88") + frame(3, 0, 3, bytes(4)))
    assert tried.broken is None
    assert tried.shown == "succeeded: [0]\nReset 0 of 1"
    assert Server().tried(KIND, b"").broken is None
    assert Server().tried(KIND, b"\x00" + GREETING).shown == "succeeded: []"


def test_an_exception_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(frame: object) -> bytes:
        raise IndexError("padding")

    monkeypatch.setattr(answers, "without_padding", crash)
    failure = Fuzzer(Server(), seed=0).failure(runs=500)
    assert failure is not None
    assert failure.broken.promise.startswith("no exception: IndexError")
    assert "IndexError: padding" in failure.broken.story


def test_a_request_that_never_ends_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(self: ExpressConnection[object], *_: object, **__: object) -> None:
        self._open.popitem()

    monkeypatch.setattr(ExpressConnection, "_give_back", forgetful)
    failure = Fuzzer(Server(), seed=0).failure(runs=2_000)
    assert failure is not None
    assert "requests were started, these ended" in failure.broken.story


def test_a_meaning_that_depends_on_the_pieces_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    receive = ExpressConnection.receive

    def forget_what_was_begun(self: ExpressConnection[Message], data: bytes) -> list[Event[Message]]:
        self._buffer = b""
        return receive(self, data)

    monkeypatch.setattr(ExpressConnection, "receive", forget_what_was_begun)
    failure = Fuzzer(Server(), seed=0).failure(runs=2_000)
    assert failure is not None
    assert failure.broken.promise == "the same whole and in pieces"
