"""pfnlab: model a device-memory mapping, run every interleaving, see which rule breaks.

    from pfnlab import check, scenario

The names below are the whole interface; docs/api.md shows each of them at work.
"""

from typing import TYPE_CHECKING

from pfnlab import core as core  # before all others: it decides how they are loaded

if TYPE_CHECKING:
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

# Where they are.  A name is imported when it is asked for: the lab starts without the model.
_PLACES = {
    "cost.address": ("best_address",),
    "engine.errors": ("BadSchedule", "ModelError"),
    "engine.program": ("Scenario", "Violation", "invariant", "scenario"),
    "explorer.result": ("Finding", "Result"),
    "kernel.design": ("Design",),
    "verdict": ("Counterexample", "Incomplete", "check", "explore", "replay"),
}


def __getattr__(name: str) -> object:
    from importlib import import_module

    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"pfnlab.{place}"), name)
    raise AttributeError(f"module 'pfnlab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
