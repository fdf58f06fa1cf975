"""Devices and users over HTTP. PUT merges: what is absent stays, null removes."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import Response

from scheduler.api.intake import Terms
from scheduler.api.problems import Problem, of_field
from scheduler.api.requests import JSON_TYPES, intake_of, read_body, require
from scheduler.runs.json_reading import FieldProblem, decode_fields
from scheduler.runs.registering import checked_address, checked_device, checked_user
from scheduler.store.api_keys import Scope
from scheduler.store.registry_changes import DeviceChange, DeviceFields, Refused, UserChange, UserFields, Verdict

MAX_BODY = 1_000_000
"""Bytes."""

_DEVICE = msgspec.json.Decoder(DeviceFields)
_USER = msgspec.json.Decoder(UserFields)


class DeviceEndpoint(HTTPEndpoint):
    """One device, by app and device token."""

    async def put(self, request: Request) -> Response:
        """The app has registered its token: the device is active and counts from now."""
        await require(request, Scope.DEVICES_WRITE)
        terms = intake_of(request).terms()
        app, token = _address(request, terms)
        fields = await _fields(request, _DEVICE)
        change = checked_device(DeviceChange(app=app, token=token, **fields), terms.apps)
        if isinstance(change, FieldProblem):
            raise of_field(change)
        return _answer(await intake_of(request).put_device(change))

    async def delete(self, request: Request) -> Response:
        """The app was uninstalled, or its user signed out."""
        await require(request, Scope.DEVICES_WRITE)
        app, token = _address(request, intake_of(request).terms())
        if not await intake_of(request).delete_device(app, token):
            raise Problem(404, "there is no such device", field="token")
        return Response(status_code=204)


class UserEndpoint(HTTPEndpoint):
    """One user, by the id that the app's backend gave."""

    async def put(self, request: Request) -> Response:
        """Attributes, opt-outs, locale and time zone."""
        await require(request, Scope.DEVICES_WRITE)
        fields = await _fields(request, _USER)
        change = checked_user(UserChange(id=request.path_params["user"], **fields))
        if isinstance(change, FieldProblem):
            raise of_field(change)
        return _answer(await intake_of(request).put_user(change))

    async def delete(self, request: Request) -> Response:
        """Erasure: the user, the user's devices and their memberships are gone when this is answered."""
        await require(request, Scope.DEVICES_WRITE)
        if not await intake_of(request).erase_user(request.path_params["user"]):
            raise Problem(404, "nothing is known of this user", field="user")
        return Response(status_code=204)


def _address(request: Request, terms: Terms) -> tuple[str, str]:
    address = checked_address(request.path_params["app"], request.path_params["token"], terms.apps)
    if isinstance(address, FieldProblem):
        raise of_field(address)
    return address


async def _fields(request: Request, decoder: msgspec.json.Decoder[Any]) -> dict[str, Any]:
    """The fields of the body; an empty body has none."""
    fields = decode_fields(decoder, await read_body(request, MAX_BODY, JSON_TYPES) or b"{}")
    if isinstance(fields, FieldProblem):
        raise of_field(fields)
    return {name: getattr(fields, name) for name in fields.__struct_fields__}


def _answer(verdict: Verdict) -> Response:
    if isinstance(verdict, Refused):
        raise Problem(422, verdict.problem, field=verdict.field)
    return Response(status_code=204)
