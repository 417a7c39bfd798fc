"""unmap_mapping_range: which pages of a file go."""

import pytest

from pfnlab.designs import insert_page_on_fault
from pfnlab.kernel import PAGE_SIZE, unmap_mapping_range
from tests.kernel.alone import Place, alone, leaves_seen

PAGES = 4


@pytest.mark.parametrize(
    ("begin", "length", "left"),
    [
        (0, PAGES * PAGE_SIZE, 0),
        (PAGE_SIZE, PAGE_SIZE, 3),
        (PAGE_SIZE, PAGE_SIZE + 1, 2),
        (0, PAGES * PAGE_SIZE - 1, 0),
        (0, 1, 3),
        (0, 0, 0),
        (2 * PAGE_SIZE, 0, 2),
        (PAGE_SIZE + 1, PAGE_SIZE, 3),
    ],
)
def test_a_length_is_rounded_up_and_none_is_the_rest_of_the_file(
    begin: int, length: int, left: int
) -> None:
    def code(place: Place) -> int:
        for page in range(PAGES):
            place.lab.touch(place.mapping, page * PAGE_SIZE)
        unmap_mapping_range(place.vdev.mapping, begin, length)
        return len(leaves_seen(place.mm))

    assert alone(code, design=insert_page_on_fault.design, pages=PAGES).returned == left
