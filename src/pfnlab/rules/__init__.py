"""rules: what must hold, one sentence each.  No design is named here.

A whole-state rule is an `@invariant`, a rule about one leaf a `@leaf_rule`.  Rules that
belong to one function of the kernel are contracts, next to that function.
"""

from pfnlab.rules.leaves import (
    leaf_lies_in_its_bar,
    leaf_lies_in_its_vma,
    leaf_maps_its_own_pfn,
)
from pfnlab.rules.memory import (
    no_bus_access_while_memory_disabled,
    no_leaf_while_memory_disabled,
    no_translation_while_memory_disabled,
)
from pfnlab.rules.pat import (
    leaf_has_the_reserved_type,
    leaf_has_the_type_asked_for,
    reserved_type_is_that_of_the_first_page,
)
from pfnlab.rules.secondary import (
    disable_waits_for_an_importer,
    guest_entry_has_its_leaf,
    iommu_entry_while_memory_disabled,
    no_guest_entry_while_memory_disabled,
    no_import_while_memory_disabled,
)

RULES = (
    no_leaf_while_memory_disabled,
    no_translation_while_memory_disabled,
    no_bus_access_while_memory_disabled,
    leaf_maps_its_own_pfn,
    leaf_lies_in_its_bar,
    leaf_lies_in_its_vma,
    leaf_has_the_type_asked_for,
    leaf_has_the_reserved_type,
    reserved_type_is_that_of_the_first_page,
    no_guest_entry_while_memory_disabled,
    guest_entry_has_its_leaf,
    no_import_while_memory_disabled,
    iommu_entry_while_memory_disabled,
    disable_waits_for_an_importer,
)

__all__ = [
    "RULES",
    "disable_waits_for_an_importer",
    "guest_entry_has_its_leaf",
    "iommu_entry_while_memory_disabled",
    "leaf_has_the_reserved_type",
    "leaf_has_the_type_asked_for",
    "leaf_lies_in_its_bar",
    "leaf_lies_in_its_vma",
    "leaf_maps_its_own_pfn",
    "no_bus_access_while_memory_disabled",
    "no_guest_entry_while_memory_disabled",
    "no_import_while_memory_disabled",
    "no_leaf_while_memory_disabled",
    "no_translation_while_memory_disabled",
    "reserved_type_is_that_of_the_first_page",
]
