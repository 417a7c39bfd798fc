"""What the parts of a search have found and counted, added up."""

from dataclasses import dataclass, field
from typing import Any

from pfnlab.engine.execution import Execution
from pfnlab.engine.program import Program
from pfnlab.explorer.keep import Kept
from pfnlab.explorer.search import Search


@dataclass
class Totals:
    """Of one search, or a part of it.

    memories  what each monitor of the program keeps over executions
    """

    schedules: int = 0
    given_up: int = 0
    longest: int = 0
    walks: int = 0
    cut: bool = False  # an execution was longer than the limit
    fell_back: bool = False
    kept: Kept = field(default_factory=Kept)
    memories: list[list[Any]] = field(default_factory=list)

    def count(self, execution: Execution, steps: int, given_up: bool) -> None:
        """One more execution has come to its end."""
        self.schedules += 1
        self.given_up += given_up
        self.longest = max(self.longest, steps)
        if execution.broken or execution.notes:
            self.kept.everything(execution, clocked=True)

    def add(self, other: "Totals") -> None:
        self.schedules += other.schedules
        self.given_up += other.given_up
        self.longest = max(self.longest, other.longest)
        self.walks += other.walks
        self.cut = self.cut or other.cut
        self.fell_back = self.fell_back or other.fell_back
        self.kept.add(other.kept)
        # A monitor that has been told more comes after what is known already.
        for place, memory in enumerate(other.memories):
            if place == len(self.memories):
                self.memories.append([])
            mine = self.memories[place]
            mine += [item for item in memory if item not in mine]

    def remember(self, program: Program) -> None:
        """Tell the monitors of a program."""
        for monitor, memory in zip(program.monitors, self.memories, strict=False):
            monitor.remember(memory)

    def data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**vars(self), "kept": self.kept.data()}

    @staticmethod
    def of(data: Any) -> "Totals":
        return Totals(**{**data, "kept": Kept.of(data["kept"])})


def memories_of(program: Program) -> list[list[Any]]:
    return [monitor.memory() for monitor in program.monitors]


def totals_of(search: Search, program: Program) -> Totals:
    """Of a search that runs in this process."""
    running = search.reduced
    return Totals(
        search.schedules,
        search.given_up,
        search.longest,
        search.walks,
        search.cut or (running is not None and running.machine.cut),
        search.fell_back or (running is not None and running.fell_back),
        search.kept,
        memories_of(program),
    )


def take_over(search: Search, totals: Totals) -> None:
    """Make the result of a search that was made elsewhere one of this search."""
    search.schedules, search.given_up = totals.schedules, totals.given_up
    search.longest, search.walks = totals.longest, totals.walks
    search.cut, search.fell_back = totals.cut, totals.fell_back
    search.kept = totals.kept
