"""`limits.per_user: latest`: which of a user's devices it is, of those that the run selects.

A device that the run does not reach must not be chosen: its user would get nothing. So beside the devices that are
decided now those count that have a row in the run, and those that the run has still to read, if they match today.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from scheduler.domain.runs import Recipient, Shard
from scheduler.planning.device_slots import is_among
from scheduler.runs.windows import Window, matching, no_longer_matching
from scheduler.store import audience as audiences
from scheduler.store import ledger
from scheduler.store import parts as part_rows
from scheduler.store import shards as shard_rows
from scheduler.store.database import Transaction


def latest_devices(tx: Transaction, window: Window, of_users: Sequence[Recipient]) -> dict[str, int]:
    """By person, the device that was seen last of those that a window's run selects; of those seen at once the one
    with the highest number. `of_users` are recipients of the window that have users."""
    if not of_users:
        return {}
    devices = {recipient.id: recipient for recipient in (*_others(tx, window, of_users), *of_users)}
    in_order = sorted(devices.values(), key=lambda one: (one.device["last_seen_at"], one.id))
    return {recipient.person: recipient.id for recipient in in_order}


def _others(tx: Transaction, window: Window, of_users: Sequence[Recipient]) -> list[Recipient]:
    """What the run selects of the other devices of the same users."""
    context, run = window.context, window.context.run
    decided = {entry.device for entry in window.suppressed} | {one.recipient.id for one in window.deferred}
    is_only_window = run.is_born and window.shard is None and not window.from_work
    if is_only_window and not decided:
        return []
    users = sorted({str(recipient.user["id"]) for recipient in of_users})
    last = run.last_device or window.end or None
    # Who has a row is not asked for `where` and topics again, but for what it was asked for when its delay was over.
    everything = replace(context.audience, where=None, topics=None)
    mine = {recipient.id for recipient in window.recipients}
    theirs = [one for one in audiences.recipients_of(tx, everything, users, last=last) if one.id not in mine]
    known = decided
    if not is_only_window:
        known = known | ledger.with_rows(tx, run.seq, [one.id for one in theirs if one.id not in known])
    selected = [one for one in theirs if one.id in known]
    to_come = set() if is_only_window else _to_come(tx, window, [one for one in theirs if one.id not in known])
    if to_come:
        found = audiences.recipients_of(tx, context.audience, users, last=last)
        selected += matching(context, [one for one in found if one.id in to_come])
    called_off = no_longer_matching(context, selected) if context.campaign.delay else {}
    return [one for one in selected if one.id not in called_off]


def _to_come(tx: Transaction, window: Window, devices: Sequence[Recipient]) -> Collection[int]:
    """Those of these devices, of which none has a row, that the run has still to read."""
    context, run = window.context, window.context.run
    if not run.is_born:  # a preview reads everybody whose time has not gone by
        return {one.id for one in devices if run.wall is None or context.sending(one.time_zone).due >= run.created_at}
    if not devices or not run.sharded:
        return ()
    if context.campaign.canary is not None and not part_rows.has_rest(tx, run.seq):
        return {one.id for one in devices}  # the rest is everybody without a row
    shards = [_read_to(shard, window) for shard in shard_rows.shards_of(tx, [run.seq])]
    return {one.id for one in devices if _has_to_read(shards, one)}


def _read_to(shard: Shard, window: Window) -> Shard:
    """A shard as it is when the window is committed."""
    is_own = window.shard is not None and window.shard.number == shard.number
    return replace(shard, intent=window.end) if is_own else shard


def _has_to_read(shards: Iterable[Shard], device: Recipient) -> bool:
    return any(
        shard.intent < device.id <= shard.last and (shard.zones is None or is_among(shard.zones, device.time_zone))
        for shard in shards
    )
