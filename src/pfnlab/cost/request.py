"""Where what a user asks for is mapped; what cannot be is a ModelError of one line."""

from pfnlab.cost.address import best_address, check_user_space, natural_address
from pfnlab.cost.words import check_inside, check_pages, parse_size
from pfnlab.errors import ModelError
from pfnlab.kernel.bars import check_physical
from pfnlab.kernel.geometry import PAGE_SIZE
from pfnlab.kernel.profile import Kernel
from pfnlab.kernel.type1 import END_OF_RAM
from pfnlab.workload import Advice, Bar, Window


def make_bar(size: int, offset: int, bar_size: int | None, bar_address: int | None) -> Bar:
    """The BAR of a window; its size and address are powers of two if not given."""
    if size == 0:
        raise ModelError("size is 0: there is nothing to map")
    check_pages("size", size, PAGE_SIZE)
    check_pages("offset", offset)
    if bar_size is None:
        bar_size = 1 << (size + offset - 1).bit_length()
    check_pages("bar size", bar_size, PAGE_SIZE)
    if bar_size.bit_count() != 1:
        raise ModelError(f"bar size {bar_size:#x} is no power of two, as that of every BAR is")
    check_inside(offset, size, bar_size)
    if bar_address is None:
        bar_address = max(bar_size, END_OF_RAM)
    if bar_address % bar_size:
        raise ModelError(
            f"bar address {bar_address:#x} is no multiple of the size of the BAR, {bar_size:#x}"
        )
    check_physical(bar_address, bar_size)
    return Bar(bar_size, check_pages("bar address", bar_address))


def place_window(
    bar: Bar, size: int, offset: int, vma: str, kernel: Kernel, advice: Advice = ""
) -> Window:
    """`vma` is an address, "best" or "natural"."""
    assert bar.address is not None
    if vma == "best":
        address = best_address(size, offset, bar.address)
    elif vma == "natural":
        address = natural_address(size, offset, kernel)
    else:
        address = check_pages("vma", parse_size(vma, "vma"), PAGE_SIZE)
    check_user_space(address, size)
    return Window(size, offset, address, advice)
