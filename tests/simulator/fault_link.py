"""A stock client and the simulator's connection with no network between them: seconds are numbers, faults are exact."""

from __future__ import annotations

from functools import partial
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from hpack import Decoder
from hyperframe.frame import ContinuationFrame, DataFrame, Frame, GoAwayFrame, HeadersFrame, RstStreamFrame
from simulator_client import NOW, request_headers

from scheduler.simulator.checks import World, judge
from scheduler.simulator.client_watch import ClientWatch
from scheduler.simulator.connection import Exchange, ServerConnection
from scheduler.simulator.fault_schedule import FaultSchedule
from scheduler.simulator.faults import Action, Fault, Script
from scheduler.simulator.provider_tokens import ConnectionTokens, TokenReader

BODY = b'{"aps":{"alert":"hello"}}'


def at_request(number: int, action: Action, times: int = 1) -> Fault:
    """A fault at the N-th request."""
    return Fault(action=action, request=number, times=times)


class FaultLink:
    """Every frame of the server is kept in `frames`. GOAWAY is kept from the client, as h2 would not go on after it."""

    def __init__(self, *faults: Fault, schedule: FaultSchedule | None = None, number: int = 1, **options: Any) -> None:
        self.at = 0.0
        self.watch = ClientWatch()
        self.schedule = schedule or FaultSchedule(Script(faults))
        self.server = ServerConnection(
            number,
            ConnectionTokens(TokenReader({})),
            partial(judge, World()),
            faults=self.schedule.connection(number, 0.0),
            watch=self.watch.connection(0.0),
            **options,
        )
        self.client = H2Connection(H2Configuration(header_encoding="utf-8", validate_outbound_headers=False))
        self.client.initiate_connection()
        self.frames: list[Frame] = []
        self.arrivals: list[float] = []
        """The second of each frame."""
        self.events: list[Any] = []
        self.exchanges: list[Exchange] = []
        self._decoder = Decoder()
        self.take(self.server.greeting(0.0))

    def open(self, body: bytes = BODY, *, end_stream: bool = True, **changes: str | None) -> int:
        """Put a request into the client's buffer."""
        stream = self.client.get_next_available_stream_id()
        self.client.send_headers(stream, request_headers(**changes), end_stream=not body)
        if body:
            self.client.send_data(stream, body, end_stream=end_stream)
        return stream

    def ask(self, count: int = 1, **changes: str | None) -> list[int]:
        """Requests in one write, and everything that follows at once."""
        streams = [self.open(**changes) for _ in range(count)]
        self.deliver()
        return streams

    def proved(self) -> FaultLink:
        """One request, so that many may be open."""
        self.ask()
        return self

    def overrun(self) -> None:
        """Let the client not care about the stream limit."""
        self.client.remote_settings[3] = 100
        self.client.remote_settings.acknowledge()

    def deliver(self) -> None:
        """Both sides have what the other has said."""
        while sent := self.client.data_to_send():
            exchanges, answers = self.server.receive(sent, NOW.timestamp(), self.at)
            self.exchanges += exchanges
            self.take(answers)

    def pass_time(self, seconds: float) -> None:
        """The server wakes at each moment that is due until then."""
        until = self.at + seconds
        while (due := self.server.due) is not None and due <= until:
            self.at = max(self.at, due)
            self.take(self.server.tick(self.at))
            self.deliver()
        self.at = until

    def take(self, data: bytes) -> None:
        """Frame by frame."""
        position = 0
        while position < len(data):
            frame, length = Frame.parse_frame_header(memoryview(data[position : position + 9]))
            whole = data[position : position + 9 + length]
            frame.parse_body(memoryview(whole[9:]))
            self.frames.append(frame)
            self.arrivals.append(self.at)
            position += len(whole)
            if not isinstance(frame, GoAwayFrame):
                self.events += self.client.receive_data(whole)

    def of(self, kind: type[Frame]) -> list[Any]:
        """The frames of a kind so far."""
        return [frame for frame in self.frames if isinstance(frame, kind)]

    def statuses(self, stream: int) -> list[str]:
        """The status of each header block on a stream; trailers have none."""
        decoder = Decoder()
        found = []
        for frame in self.of(HeadersFrame):
            headers = dict(decoder.decode(frame.data))
            if frame.stream_id == stream:
                found.append(headers.get(":status", "trailers"))
        return found

    def body(self, stream: int) -> bytes:
        return b"".join(bytes(frame.data) for frame in self.of(DataFrame) if frame.stream_id == stream)

    def resets(self) -> dict[int, int]:
        """Stream → error code."""
        return {frame.stream_id: frame.error_code for frame in self.of(RstStreamFrame)}

    def goaways(self) -> list[tuple[int, int, bytes]]:
        """Last stream, error code, debug data."""
        return [(frame.last_stream_id, frame.error_code, frame.additional_data) for frame in self.of(GoAwayFrame)]

    def ended(self) -> set[int]:
        """Streams that have their whole answer."""
        kinds = (HeadersFrame, DataFrame, ContinuationFrame)
        return {frame.stream_id for frame in self.frames if isinstance(frame, kinds) and "END_STREAM" in frame.flags}
