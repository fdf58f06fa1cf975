"""The first answers of a run: if APNs knows none of its tokens, they are most likely those of the other environment.

Apple, "Handling notification responses from APNs": too many errors end the connection, BadDeviceToken sooner than
others. So the run is paused while it is few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from scheduler.apns.results import Answer
from scheduler.runs.verdicts import Report
from scheduler.workspace.settings import Environment

FIRST: Final = 20
"""So many answers are looked at. One of them that is something else, and the run goes on."""


@dataclass(slots=True)
class FirstAnswers:
    """Of one run, in this process. `are_watched` is over as soon as it is decided."""

    are_watched: bool = True
    unknown_tokens: int = 0

    def show_strangers(self, report: Report) -> bool:
        """Take one more; whether all of the first were BadDeviceToken: true once."""
        if not isinstance(report, Answer):
            return False
        if report.reason != "BadDeviceToken":
            self.are_watched = False
            return False
        self.unknown_tokens += 1
        self.are_watched = self.unknown_tokens < FIRST
        return not self.are_watched


def strangers_note(app: str, environment: Environment) -> str:
    """Why a run was paused, for who looks at it."""
    other = next(one for one in Environment if one is not environment)
    return (
        f"Apple knows none of the first {FIRST} device tokens (BadDeviceToken). The app {app} sends to {environment}: "
        f"are these tokens of {other}?"
    )
