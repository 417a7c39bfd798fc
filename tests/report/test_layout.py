"""How sizes are written."""

import pytest

from pfnlab.report.layout import size_text


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
