"""Options that commands of the model and of the lab share; starting is fast without the model."""

import math
from typing import Annotated, Literal

import typer

from pfnlab.workload import Place, ThpPolicy


def finite(seconds: float | None) -> float | None:
    """A range lets "nan" through, and nobody can wait for "inf"."""
    if seconds is not None and not math.isfinite(seconds):
        raise typer.BadParameter(f"{seconds} is no number of seconds")
    return seconds


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (docs/json.md).")]
Thp = Annotated[ThpPolicy, typer.Option(help="/sys/kernel/mm/transparent_hugepage/enabled.")]
PlaceOption = Annotated[
    Place,
    typer.Option(help="Where: as mmap() chooses, or as the BAR modulo 1 GiB, 2 MiB, 4 KiB."),
]
Madvise = Annotated[
    Literal["hugepage", "nohugepage"] | None, typer.Option(help="madvise() of the mapping.")
]
GuestTimeout = Annotated[
    float, typer.Option(min=1.0, callback=finite, help="Seconds after which a guest is ended.")
]
