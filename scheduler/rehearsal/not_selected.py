"""Why a preview of one device selects nobody, in words."""

from __future__ import annotations

from scheduler.store import registry
from scheduler.store.database import Transaction
from scheduler.workspace.campaign import Campaign


def why_not_selected(tx: Transaction, campaign: Campaign, device: int, *, gone_by: bool) -> str:
    """What keeps a device out of a rule's audience, and where to look. `gone_by`: it is in it, but the slot came to it
    before the time that was asked about."""
    found = registry.fetch_devices(tx, [device])
    if not found:
        return f"there is no device {device}: 'clarion devices list' shows numbers and tokens"
    one = found[0].device
    if not one.active:
        return f"device {device} is not selected: it is retired ({one.retired_reason}) until its app registers again"
    if one.app != campaign.app:
        return f"device {device} is not selected: it is of the app '{one.app}', and the rule is for '{campaign.app}'"
    if gone_by:
        return f"device {device} is not selected: its own time of this slot is over; --at T asks about an earlier time"
    return (
        f"device {device} is not selected: it does not match the rule's audience; "
        f"'clarion devices show {device}' has its user, topics and attributes"
    )
