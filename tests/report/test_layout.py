"""How sizes are written, and how wide lines are."""

import fcntl
import os
import pty
import struct
import termios

import pytest

from pfnlab.report.layout import line_width, size_text, table_text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0"),
        (4096, "4 KiB"),
        (1 << 37, "128 GiB"),
        ((256 << 20) - (12 << 10), "255.99 MiB"),
        ((2 << 30) - 4096, "1.999996 GiB"),
        (1_050_628 << 10, "1.002 GiB"),
        ((1 << 20) + 1, "1.000001 MiB"),
    ],
)
def test_a_size_looks_whole_only_if_it_is(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(("columns", "fits"), [(80, 80), (200, 100), (20, 60)])
def test_a_line_is_as_wide_as_the_terminal_but_not_wider_than_a_mail(
    monkeypatch: pytest.MonkeyPatch, columns: int, fits: int
) -> None:
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(its, "w") as terminal:
        monkeypatch.setattr("sys.stdout", terminal)
        assert line_width() == fits
    os.close(ours)


def test_a_line_of_a_file_has_100_columns() -> None:
    assert line_width() == 100


def test_a_table_that_is_too_wide_for_the_terminal_goes_on_below(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def widest() -> int:
        text = table_text("design", [f"column {n}" for n in range(8)], {"a": ["1"] * 8})
        return max(map(len, text.splitlines()))

    assert 80 < widest() <= 100
    monkeypatch.setattr("pfnlab.report.layout.line_width", lambda: 80)
    assert widest() <= 80
