"""What `runs list` says of slots and events that came to nothing."""

from __future__ import annotations

from collections.abc import Callable

from clarion_command import Clarion
from support.worlds import NOW, World, rule_text

from scheduler.store import misses as miss_rows


def test_each_kind_of_miss_is_said_in_its_words(make_world: Callable[[str], World], clarion: Clarion) -> None:
    world = make_world(rule_text())
    with world.store.write() as tx:
        misses = {
            ("digest", "slot_missed", "later than the grace"): 1,
            ("digest", "zones_missed", "later than the grace, at UTC+5:45"): 2,
            ("goal", "when_unknown", "event.data.minute"): 3,
        }
        miss_rows.count(tx, misses, NOW)
    last = "(last 2026-11-20 12:00:00)"
    assert clarion("runs", "list").err.splitlines()[1:] == [
        f"digest: 1 slot without a run: slot_missed, later than the grace {last}",
        f"digest: 2 slots not run in some zones: zones_missed, later than the grace, at UTC+5:45 {last}",
        f"goal: 3 events without a run: when_unknown, event.data.minute {last}",
    ]
