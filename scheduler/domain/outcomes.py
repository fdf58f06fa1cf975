"""What became of a device in a run: the five outcomes and their reasons.

selected = accepted + rejected + suppressed + expired + unknown + pending, always.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class OutcomeKind(StrEnum):
    """The final states of (run, step, device) on the ledger."""

    ACCEPTED = "accepted"
    """The provider took it. Not: the person saw it."""
    REJECTED = "rejected"
    """The provider refused it for good; the reason is the provider's own word."""
    SUPPRESSED = "suppressed"
    """Clarion decided not to send; the reason is a SuppressReason or a template's own word."""
    EXPIRED = "expired"
    """Its time ran out before it could be handed over."""
    UNKNOWN = "unknown"
    """It may or may not have been sent, and the rule says to drop such; the reason is an UnknownCause."""


class SuppressReason(StrEnum):
    """Why Clarion did not send, in words that `runs show` prints. A template's abort("…") adds its own."""

    OPTED_OUT = "opted_out"
    """The user opted out of the rule's category."""
    STALE = "stale"
    """Longer than max_age between due and the commit of the send."""
    ENDED = "ended"
    """The rule's `ends` had passed before it was sent."""
    RENDER_ERROR = "render_error"
    """The template cannot be rendered for this device. The reason names the leaf: `render_error at aps.alert.body`."""
    TOO_LARGE = "payload_too_large"
    """The rendered payload is over the provider's limit."""
    BAD_COLLAPSE = "bad_collapse"
    """The collapse id is over 64 bytes or not printable."""
    QUIET_HOURS = "quiet_hours"
    """It fell into the quiet hours of the device, and the rule drops such. Of what is held it is the reason too."""
    NO_LONGER_MATCHES = "no_longer_matches"
    """It matched `where` when the event came, and not any more when the delay was over."""
    USER_CHANGED = "user_changed"
    """The rule named the user who had the device when it was selected; by now it is another's, or nobody's."""
    EXIT_EVENT = "exit_event"
    """An event of `timing.unless` came."""
    REENTRY = "reentry"
    """The person had this rule already, by `limits.reentry`."""
    NOT_LATEST = "not_latest"
    """The rule goes to one device of a user, and another was seen later."""
    CAP = "cap"
    """The person has had as many as a cap lets through. The reason names the cap: `cap marketing-day`. Of what is held
    it is the reason too."""
    HELD_OUT = "held_out"
    """It would have been sent, and the person is in a holdout: the rule's or the workspace's."""
    TOKEN_RETIRED = "token_retired"
    """The device was retired or erased between its selection and its send."""
    CANCELLED = "cancelled"
    """An operator cancelled the run."""
    SUPERSEDED = "superseded"
    """A newer run of the rule has the same `supersede` key."""


class DeferReason(StrEnum):
    """Why a device is decided later, where that is no reason to suppress it too."""

    DELAY = "delay"
    """`timing.delay` is not over yet."""


class UnknownCause(StrEnum):
    """Why no one can tell whether a request was processed."""

    CRASH = "crash"
    """The daemon ended between the intent and the outcome."""
    NO_ANSWER = "no_answer"
    """30 seconds without an answer."""
    LINK_LOST = "link_lost"
    """The link broke after the request was handed to TLS."""
    RESET = "reset"
    """The peer reset the stream without saying that it was refused."""


class RunEnd(StrEnum):
    """Why a run ended without selecting anybody; printed as its note."""

    AUDIENCE_MISSING = "audience_missing"
    """Every value of `users` or `topics` rendered to missing."""
    RENDER_ERROR = "render_error"
    """`users`, `topics` or the key of `reentry` could not be rendered."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A final outcome: its kind and the reason's word (None for accepted)."""

    kind: OutcomeKind
    reason: str | None = None


ACCEPTED = Outcome(OutcomeKind.ACCEPTED)
