"""pfnlab: model a device-memory mapping, run every interleaving, see which rule breaks.

    from pfnlab import check, scenario

The names below are the whole interface; docs/api.md shows each of them at work.
"""

from pfnlab import core as core  # before all others: it decides how they are loaded
from pfnlab.cost.address import best_address
from pfnlab.engine.errors import BadSchedule, ModelError
from pfnlab.engine.program import Scenario, Violation, invariant, scenario
from pfnlab.explorer.result import Finding, Result
from pfnlab.kernel.design import Design
from pfnlab.verdict import Counterexample, Incomplete, check, explore, replay

__version__ = "0.1.0"

__all__ = [
    "BadSchedule",
    "Counterexample",
    "Design",
    "Finding",
    "Incomplete",
    "ModelError",
    "Result",
    "Scenario",
    "Violation",
    "best_address",
    "check",
    "explore",
    "invariant",
    "replay",
    "scenario",
]
