"""rules: what must hold, one sentence each.  No design is named here.

A whole-state rule is an `@invariant`, a rule about one leaf a `@leaf_rule`.  Rules that
belong to one function of the kernel are contracts, next to that function.
"""

from pfnlab.rules.leaves import leaf_lies_in_its_vma, leaf_maps_its_own_pfn
from pfnlab.rules.memory import no_leaf_while_memory_disabled

RULES = (no_leaf_while_memory_disabled, leaf_maps_its_own_pfn, leaf_lies_in_its_vma)

__all__ = ["RULES", "leaf_lies_in_its_vma", "leaf_maps_its_own_pfn",
           "no_leaf_while_memory_disabled"]  # fmt: skip
