"""write_lock_in_fault on v6.16: the fault that comes after a zap cannot map the VMA again.

The context of the first remap stays on the VMA until it is freed; a zap does not take it
off.  So no design that fills a VMA anew after each disable can be had on these kernels.
Read in mm/memory.c, remap_pfn_range_track(); no report of it is known.
"""

from dataclasses import replace

from pfnlab import check, explore
from pfnlab.designs import huge_fault, remap_on_enable_locked
from pfnlab.designs.write_lock_in_fault import design
from pfnlab.scenarios.pat import touch_after_enable
from tests.stories.story import told

RULE = "vma_remapped_as_a_whole_once"


def test_the_second_remap_of_a_vma_is_refused() -> None:
    finding = told(touch_after_enable, replace(design, kernel="v6.16"), RULE, "vcpu:60")

    assert finding.violation.evidence == (
        "vma 7f0000000000 still has the context of its first remap.",
    )


def test_before_a_zap_cleared_the_way() -> None:
    assert explore(touch_after_enable, design, kernel="v6.12").verdict == "ok"


def test_a_design_that_inserts_is_not_concerned() -> None:
    check(touch_after_enable, huge_fault.design)


def test_a_design_that_maps_again_on_enable_cannot_be_had_either() -> None:
    calm = replace(remap_on_enable_locked.design, kernel="v6.16")

    result = explore(touch_after_enable, calm, rules=["R18"])

    assert result.violation is not None
    assert result.violation.rule == RULE
