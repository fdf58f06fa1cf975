"""Tables in a terminal: broken into lines where that may be, and never cut."""

from __future__ import annotations

import pytest

from scheduler.cli.tables import print_table


@pytest.mark.parametrize("width", [10, 20, 30, 80])
def test_no_digit_is_cut_off_however_narrow_the_terminal_is(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    print_table(
        ("rule", "selected", "accepted", "why"),
        [("basket-reminder", 1234567, 7654321, "eighteen of them have ordered meanwhile")],
        right=("selected", "accepted"),
        texts=("why",),
    )
    printed = capsys.readouterr().out
    for whole in ("basket-reminder", "1234567", "7654321", "selected", "accepted"):
        assert whole in printed
