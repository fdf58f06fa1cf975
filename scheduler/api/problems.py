"""Answers that say what is wrong: application/problem+json (RFC 9457) with the field that it is about."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from scheduler.runs.json_reading import FieldProblem


class Problem(Exception):
    """Ends a request with an answer of this status. `field` names the part of the request that is wrong."""

    def __init__(
        self, status: int, detail: str, *, field: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.field = field
        self.headers = headers

    def response(self) -> Response:
        """`type` is about:blank, so `title` is the status's own phrase (RFC 9457, section 4.2.1)."""
        members: dict[str, object] = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.field:
            members["field"] = self.field
        return json_response(members, self.status, media_type="application/problem+json", headers=self.headers)


def of_field(problem: FieldProblem) -> Problem:
    """A body that is no JSON is 400; a value that is wrong is 422."""
    return Problem(422 if problem.field else 400, problem.message, field=problem.field)


def json_response(
    content: object,
    status: int = 200,
    *,
    media_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> Response:
    return Response(msgspec.json.encode(content), status, dict(headers or {}), media_type)


async def on_problem(_request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    return problem.response()


async def on_http_exception(request: Request, error: Exception) -> Response:
    """What Starlette itself refuses: unknown paths and methods."""
    assert isinstance(error, HTTPException)
    detail = {404: f"there is nothing at {request.url.path}", 405: f"{request.method} is not understood here"}
    return Problem(error.status_code, detail.get(error.status_code, error.detail), headers=error.headers).response()


async def on_failure(_request: Request, _error: Exception) -> Response:
    """Nothing was promised, so the sender may try again; the log has the exception."""
    return Problem(500, "this request failed on our side; what it asked for may be sent again").response()
