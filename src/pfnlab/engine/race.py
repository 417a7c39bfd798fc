"""Data races, in words."""

from pfnlab.engine.cell import Cell
from pfnlab.engine.program import Rule
from pfnlab.engine.store import Access

NO_DATA_RACE = Rule(
    "no_data_race", "Two tasks use a plain field at the same time, and one of them writes."
)
NO_USE_AFTER_FREE = Rule(
    "no_use_after_free",
    "An object is used after it was freed, or while it is.",
    "R7",
)


def evidence_of(
    cell: Cell, task: str, step: int, write: bool, other: str, earlier: Access
) -> tuple[str, ...]:
    """Who did what in which step, and which lock should have ordered the two."""
    evidence = (
        f"{task} {cell.words[2 * write]} {cell.name} in step {step}; "
        f"{other} {cell.words[2 * earlier.write + 1]} it "
        f"{_when(cell, earlier)}, and no lock orders the two.",
    )
    return (*evidence, f"{cell.name} is guarded by {cell.guard}.") if cell.guard else evidence


def _when(cell: Cell, earlier: Access) -> str:
    if cell.traced:
        return f"in step {earlier.step}"
    return f"after step {earlier.step}" if earlier.step else "before step 1"
