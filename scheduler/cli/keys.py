"""`clarion keys`: API keys of app backends."""

from __future__ import annotations

from scheduler.cli.output import Format, local, print_json, remark
from scheduler.cli.session import InSession
from scheduler.cli.tables import print_table
from scheduler.runs.keys import create_key, read_scopes, revoke_key
from scheduler.runs.keys import list_keys as stored_keys


def create(
    name: str = "backend",
    /,
    *,
    scope: list[str] | None = None,
    format: Format = Format.TEXT,
    session: InSession,
) -> int:
    """Make an API key. Its secret is printed once and kept nowhere.

    Example: clarion keys create backend --scope devices:write --scope events:write

    Parameters
    ----------
    name
        To recognise it in the list.
    scope
        What it may do; may be given several times. Without it: devices:write and events:write.
    format
        How the result is printed.
    """
    scopes = read_scopes(scope or ["devices:write", "events:write"])
    with session.store() as store:
        created = create_key(store, name, scopes, session.clock.now())
    if format is Format.JSON:
        print_json({"id": created.key.number, "name": name, "scopes": sorted(scopes), "secret": created.secret})
    else:
        print(created.secret)
        remark(f"key {created.key.number} ({name}) may {', '.join(sorted(scopes))}; it is not shown again")
    return 0


def list_keys(*, format: Format = Format.TEXT, session: InSession) -> int:
    """All keys without their secrets, revoked ones too.

    Example: clarion keys list

    Parameters
    ----------
    format
        How the result is printed.
    """
    with session.store() as store:
        found = stored_keys(store)
    if format is Format.JSON:
        print_json(
            [
                {
                    "id": key.number,
                    "name": key.name,
                    "scopes": sorted(key.scopes),
                    "created_at": key.created_at,
                    "revoked_at": key.revoked_at,
                }
                for key in found
            ]
        )
        return 0
    print_table(
        ("id", "name", "scopes", "created", "revoked"),
        [
            (key.number, key.name, " ".join(sorted(key.scopes)), local(key.created_at), local(key.revoked_at))
            for key in found
        ],
    )
    return 0


def revoke(key: int, /, *, session: InSession) -> int:
    """Take a key out of service; the next request with it is refused.

    Example: clarion keys revoke 3

    Parameters
    ----------
    key
        Its number in the list.
    """
    with session.store() as store:
        revoke_key(store, key, session.clock.now())
    remark(f"key {key} is revoked")
    return 0
