"""How numbers, sizes, times and tables are written; knows nothing of what they are about."""

import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from itertools import count

WIDTH = 100  # of a line in a file or a mail
NARROWEST = 60  # terminal that a line is made for
KIB, MIB, GIB, TIB = (1 << shift for shift in (10, 20, 30, 40))


def line_width() -> int:
    """How many columns a line may have: fewer on a terminal that has no more."""
    try:
        columns = os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError, AttributeError):  # it is no terminal
        return WIDTH
    return min(WIDTH, max(NARROWEST, columns))


def filled(text: str) -> str:
    """A paragraph in lines of that many columns; words may be two spaces apart."""
    return textwrap.fill(text.replace("\n", " "), line_width(), break_on_hyphens=False)


def many(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def size_text(size: int) -> str:
    """As it is written: 128 GiB, 8 KiB, 4.01 MiB; and 1.002 GiB, as 1.00 would seem to be whole."""
    for unit, name in ((TIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit:
            if size % unit == 0:
                return f"{size // unit} {name}"
            digits = next(digits for digits in count(2) if round(size / unit, digits) % 1)
            return f"{size / unit:.{digits}f} {name}"
    return f"{size} B" if size else "0"


def seconds_text(seconds: float) -> str:
    for unit, name in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= unit:
            value = seconds / unit
            return f"{value:,.0f} {name}" if value >= 100 else f"{value:.3g} {name}"
    return f"{seconds / 1e-9:.0f} ns" if seconds else "0"


def number(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value


def numbers_table(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """As table_text(), with all columns but the first at the right."""
    widths = [max(map(len, column)) for column in zip(columns, *rows.values(), strict=True)]

    def at_the_right(texts: Sequence[str]) -> list[str]:
        return [text.rjust(width) for text, width in zip(texts, widths, strict=True)]

    right = {name: at_the_right(row) for name, row in rows.items()}
    return table_text(title, at_the_right(columns), right)


def table_text(title: str, columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """Rows under the names of columns; a table that is too wide goes on in another below."""
    first = max(len(name) for name in [title, *rows])
    widths = [
        max(len(name), *(len(row[place]) for row in rows.values()))
        for place, name in enumerate(columns)
    ]
    blocks: list[list[int]] = [[]]
    for place, needed in enumerate(widths):
        used = first + sum(2 + widths[other] for other in blocks[-1])
        if blocks[-1] and used + 2 + needed > line_width():
            blocks.append([])
        blocks[-1].append(place)

    def line(name: str, texts: Sequence[str], places: list[int]) -> str:
        row = "".join(f"  {texts[place].ljust(widths[place])}" for place in places)
        return f"{name.ljust(first)}{row}".rstrip()

    return "\n\n".join(
        "\n".join(line(name, texts, places) for name, texts in [(title, columns), *rows.items()])
        for places in blocks
    )
