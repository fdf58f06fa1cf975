"""The answers that nearly all are, taken at a glance: a 200 without a body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeVar

from scheduler.http2.answers import STATUS_200, PartialAnswer
from scheduler.http2.frames import DATA, END_HEADERS, END_STREAM, FRAME_HEAD_SIZE, HEAD, HEADERS, MAX_FRAME_SIZE

R = TypeVar("R")

_WHOLE: Final = END_STREAM | END_HEADERS
_EMPTY_DATA: Final = 0 << 8 | DATA
_SHORTEST: Final = 1 << 8 | HEADERS
_LONGEST: Final = MAX_FRAME_SIZE << 8 | HEADERS


def skim(
    buffer: bytes,
    position: int,
    streams: dict[int, R],
    begun: dict[int, PartialAnswer],
    waiting: Mapping[int, object],
    accepted: list[R],
) -> int:
    """Move the requests of plain acceptances from `streams` to `accepted`; returns where anything else begins.

    Plain is a HEADERS frame whose block begins with the static reference for `:status 200`, and that ends its stream or
    leaves it to an empty DATA frame: until then the answer has `begun`. Streams that are `waiting` for a window are
    left alone. It must be certain that a header block stands for itself, and that no other is unfinished.
    """
    end = len(buffer)
    unpack, take, accept = HEAD.unpack_from, streams.pop, accepted.append
    while end - position >= FRAME_HEAD_SIZE:
        head, flags, stream = unpack(buffer, position)
        stop = position + FRAME_HEAD_SIZE + (head >> 8)
        if head == _EMPTY_DATA:
            if flags != END_STREAM or stream not in begun or begun[stream].status != 200 or stream in waiting:
                break
            del begun[stream]
            accept(take(stream))
        elif head & 0xFF == HEADERS and _SHORTEST <= head <= _LONGEST and stop <= end:
            if buffer[position + FRAME_HEAD_SIZE] != STATUS_200 or stream in begun or stream in waiting:
                break
            if flags == _WHOLE:
                request = take(stream, None)
                if request is None:
                    break
                accept(request)
            elif flags == END_HEADERS and stream in streams:
                begun[stream] = PartialAnswer(status=200)
            else:
                break
        else:
            break
        position = stop
    return position
