"""Options that commands of the model and of the lab share; starting is fast without the model."""

from typing import Annotated, Literal

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON (docs/json.md).")]
Thp = Annotated[
    Literal["always", "madvise", "never"],
    typer.Option(help="/sys/kernel/mm/transparent_hugepage/enabled."),
]
Madvise = Annotated[
    Literal["hugepage", "nohugepage"] | None, typer.Option(help="madvise() of the mapping.")
]
