"""engine: runs one schedule of one program.

It knows tasks, cells, locks and steps, and nothing of Linux.  Which schedule to run is
decided elsewhere: the engine says which tasks are enabled, and makes one step of one.
"""

from pfnlab.engine.errors import BadSchedule, ModelError, Nondeterminism
from pfnlab.engine.field import field
from pfnlab.engine.lists import SharedList, shared_list
from pfnlab.engine.mutex import mutex, spinlock
from pfnlab.engine.program import Invariant, Program, Rule, Scenario, Violation, invariant, scenario
from pfnlab.engine.rwsem import rw_semaphore
from pfnlab.engine.shared import Shared
from pfnlab.engine.signal import fatal_signal_pending, kill
from pfnlab.engine.step import begin_trying, choose, done_trying, join, start, try_again, violate
from pfnlab.engine.wait import completion, condition, wait_event
from pfnlab.engine.word import compare_exchange, update, word

__all__ = [
    "BadSchedule",
    "Invariant",
    "ModelError",
    "Nondeterminism",
    "Program",
    "Rule",
    "Scenario",
    "Shared",
    "SharedList",
    "Violation",
    "begin_trying",
    "choose",
    "compare_exchange",
    "completion",
    "condition",
    "done_trying",
    "fatal_signal_pending",
    "field",
    "invariant",
    "join",
    "kill",
    "mutex",
    "rw_semaphore",
    "scenario",
    "shared_list",
    "spinlock",
    "start",
    "try_again",
    "update",
    "violate",
    "wait_event",
    "word",
]
