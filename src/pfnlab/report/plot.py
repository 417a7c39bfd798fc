"""A picture of costs against the size of the BAR, by matplotlib: an extra of the package.

Designs that cost the same in every panel are one line with several names.  A line has a
colour that colour-blind people can tell from the others, and a marker and a dash for who
prints in grey.
"""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import matplotlib

matplotlib.use("Agg")

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from pfnlab.cost.calibration import Calibration, time_of
from pfnlab.cost.estimate import Cost
from pfnlab.kernel.geometry import MiB
from pfnlab.report.layout import seconds_text, size_text

# Okabe and Ito, 2008, without yellow, which paper does not show.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
DASHES: tuple[str | tuple[int, tuple[int, ...]], ...] = (
    "-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 1)), (0, (8, 2)),
)  # fmt: skip
SMALLEST = 2 * MiB

Rows = Mapping[str, Sequence[Cost]]
Value = Callable[[Cost], float | None]


@dataclass(frozen=True)
class Panel:
    """One quantity; a value that is None is not known."""

    title: str
    value: Value
    text: Callable[[float], str]
    step: int  # from one line of the grid to the next


def sizes_to(size: int) -> list[int]:
    """Powers of two from 2 MiB up to a size."""
    sizes = []
    at = min(SMALLEST, size)
    while at < size:
        sizes.append(at)
        at *= 2
    return [*sizes, size]


def plot_costs(
    rows: Rows, words: str, calibration: Calibration | None, file: IO[bytes], kind: str
) -> None:
    """Faults, page tables and, with a calibration, times, one above the other.

    `kind` is "svg" or "png".
    """
    panels = [
        Panel("faults", lambda cost: float(cost.total.faults), count_text, 100),
        Panel("page tables", lambda cost: float(cost.most_table_bytes), short_size, 16),
    ]
    headline = f"One mapping of a whole BAR, THP {thp_of(rows)}: {words}"
    if calibration is not None:
        title = f"time, by calibration\n{calibration.title}"
        times = Panel(title, seconds_by(calibration), seconds_text, 100)
        if any(times.value(cost) for costs in rows.values() for cost in costs):
            panels.append(times)
        else:
            headline += f"\nno time is known in full by calibration {calibration.title}"
    groups: dict[tuple[float | None, ...], list[str]] = {}
    for name, costs in rows.items():
        curve = tuple(panel.value(cost) for panel in panels for cost in costs)
        groups.setdefault(curve, []).append(name)
    figure = Figure(figsize=(7.5, 2.6 * len(panels) + 1.6), layout="constrained")
    all_axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axes, panel in zip(all_axes, panels, strict=True):
        draw_panel(axes, {tuple(names): rows[names[0]] for names in groups.values()}, panel)
    figure.suptitle(headline, fontsize=11)
    all_axes[-1].set_xlabel("size of the BAR")
    figure.legend(
        handles=[
            Line2D([], [], label=",\n".join(names), **style(place))
            for place, names in enumerate(groups.values())
        ],
        loc="outside lower center",
        ncols=2,
        fontsize=8,
        frameon=False,
        handlelength=4.0,
    )
    figure.savefig(file, format=kind, dpi=160)


def thp_of(rows: Rows) -> str:
    return next(iter(rows.values()))[0].setting.thp


def seconds_by(calibration: Calibration) -> Value:
    """None where the calibration leaves something out: half a time is no time."""

    def seconds(cost: Cost) -> float | None:
        time = time_of(cost.total, calibration)
        return None if time.unknown else time.seconds

    return seconds


def style(place: int) -> dict[str, Any]:
    place %= len(COLOURS)
    return {
        "color": COLOURS[place],
        "marker": MARKERS[place],
        "linestyle": DASHES[place],
        "linewidth": 1.5,
        "markersize": 5.5,
    }


def draw_panel(axes: Axes, groups: Mapping[tuple[str, ...], Sequence[Cost]], panel: Panel) -> None:
    """One line for each group of designs.  What is 0 or unknown has no place on it."""
    sizes = [cost.workload.windows[0].size for cost in next(iter(groups.values()))]
    shown: set[float] = set()
    axes.set_xscale("log", base=2)
    axes.set_yscale("log", base=panel.step)
    for place, costs in enumerate(groups.values()):
        values = [panel.value(cost) for cost in costs]
        points = [(size, y) for size, y in zip(sizes, values, strict=True) if y]
        shown |= {y for _x, y in points}
        for part in rising(points):
            # Where lines lie on each other, each shows its marker at sizes of its own.
            axes.plot(
                [x for x, _y in part],
                [y for _x, y in part],
                markevery=(place % 3, 3) if len(part) > 3 else 1,
                **style(place),
            )
    missing = [name for names, costs in groups.items() if not any(map(panel.value, costs))
               for name in names]  # fmt: skip
    if missing:
        note = textwrap.fill(f"none, or not known in full: {', '.join(missing)}", 115)
        axes.set_title(note, loc="left", fontsize=7, color="#555555")
    axes.set_ylabel(panel.title)
    axes.xaxis.set_major_locator(FixedLocator(sizes[:: max(1, -(-len(sizes) // 8))]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _place: size_text(int(x))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(
        LogLocator(base=panel.step, numticks=20) if len(shown) > 1 else FixedLocator(list(shown))
    )
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _place: panel.text(y)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(visible=True, which="major", color="#dddddd", linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def rising(points: Sequence[tuple[int, float]]) -> list[list[tuple[int, float]]]:
    """The parts of a line in which nothing falls: where larger leaves fit, it begins anew."""
    parts: list[list[tuple[int, float]]] = []
    for point in points:
        if not parts or point[1] < parts[-1][-1][1]:
            parts.append([])
        parts[-1].append(point)
    return parts


def count_text(value: float) -> str:
    """1, 1,000 or 10 million."""
    if value >= 1_000_000:
        return f"{value / 1_000_000:,.0f} million"
    return f"{value:,.0f}"


def short_size(value: float) -> str:
    """As size_text(), rounded."""
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if value >= unit:
            return f"{value / unit:,.0f} {name}"
    return f"{value:,.0f} B"
