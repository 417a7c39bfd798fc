"""A fork that links the child's VMA before the parent's in i_mmap.

A zap walks i_mmap in order.  With the child in front it finds the child empty, fork copies
the parent's leaves behind its back, and then it empties the parent.  Behind the parent, the
child is met after every leaf that it can still be given: dup_mmap() calls
vma_interval_tree_insert_after(), and holds no lock over the copy.
"""

import pytest

from pfnlab import explore
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import Vma, i_mmap_lock_write, i_mmap_unlock_write
from pfnlab.scenarios.forks import fork_vs_disable
from tests.stories.story import told

RULE = "no_leaf_while_memory_disabled"


def link_file_before(vma: Vma, following: Vma) -> None:
    mapping = vma.vm_file.mapping
    i_mmap_lock_write(mapping)
    mapping.i_mmap.remove(following)
    mapping.i_mmap.append(vma)
    mapping.i_mmap.append(following)
    i_mmap_unlock_write(mapping)


def test_a_zap_passes_the_child_before_it_gets_its_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pfnlab.kernel.fork.link_file_after", link_file_before)

    finding = told(fork_vs_disable, design, RULE, "parent:23,config:5,parent:1,config:4")

    assert len(finding.violation.evidence) == 1


def test_a_child_behind_its_parent_is_emptied_with_it() -> None:
    assert explore(fork_vs_disable, design).verdict == "ok"
