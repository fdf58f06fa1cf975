"""The ASGI app: paths, methods and what answers them."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from scheduler.api.events import post_events
from scheduler.api.intake import Intake
from scheduler.api.problems import Problem, on_failure, on_http_exception, on_problem
from scheduler.api.registry import DeviceEndpoint, UserEndpoint
from scheduler.api.requests import intake_of


def make_app(intake: Intake) -> Starlette:
    """The API in front of an intake."""
    app = Starlette(
        routes=[
            Route("/v1/devices/{app}/{token}", DeviceEndpoint),
            Route("/v1/users/{user:path}", UserEndpoint),
            Route("/v1/events", post_events, methods=["POST"]),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
        ],
        exception_handlers={Problem: on_problem, HTTPException: on_http_exception, Exception: on_failure},
    )
    app.state.intake = intake
    return app


async def healthz(_request: Request) -> Response:
    """The process runs and answers."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """Work is taken."""
    reason = intake_of(request).ready()
    if reason is not None:
        raise Problem(503, reason, headers={"Retry-After": "5"})
    return PlainTextResponse("ok\n")
