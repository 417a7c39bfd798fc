"""What a user may ask for, and the one line that says why not."""

import pytest

from pfnlab import ModelError
from pfnlab.cost.request import make_bar, place_window
from pfnlab.cost.words import check_apart, make_workload, parse_size, parse_step
from pfnlab.kernel.geometry import GiB, KiB, MiB, TiB
from pfnlab.kernel.profile import find_kernel
from pfnlab.workload import Fork, Memory, Mremap, Touch, Window

WINDOW = Window(GiB, 0, 0x7F0000000000)
KERNEL = find_kernel("v7.3")


@pytest.mark.parametrize(
    ("text", "size"),
    [("128G", 128 * GiB), ("2MiB", 2 * MiB), ("0x600000", 6 * MiB), ("4096", 4096), ("0", 0),
     ("1t", TiB), ("16 KB", 16 * KiB)],
)  # fmt: skip
def test_a_size_is_read_as_it_is_written(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "message"),
    [("-4K", "size -4K is negative"), ("much", "is no number of bytes"), ("1.5G", "is no number"),
     ("", "is no number"), ("3X", "is no number")],
)  # fmt: skip
def test_what_is_no_size_is_refused(text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        parse_size(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0, None, None), "size is 0"),
        ((5, 0, None, None), "size 0x5 is no multiple of 4 KiB"),
        ((4096, 1, None, None), "offset 0x1 is no multiple of 4 KiB"),
        ((4096, GiB, GiB, None), "offset 0x40000000 is beyond the BAR"),
        ((2 * GiB, GiB, 2 * GiB, None), "offset 0x40000000 and size 0x80000000 are beyond the BAR"),
        ((4096, 0, None, 7), "bar address 0x7 is no multiple"),
        ((4096, 0, 3 * GiB, None), "bar size 0xc0000000 is no power of two"),
        ((GiB, 0, None, 4096), "bar address 0x1000 is no multiple of the size of the BAR"),
        ((4096, 0, 5, None), "bar size 0x5 is no multiple"),
        ((4096, 0, None, 1 << 66), "at 0x40000000000000000 does not end below 0x10000000000000"),
        ((4096, 0, 1 << 52, None), "a BAR of 0x10000000000000 bytes at 0x10000000000000 does not"),
    ],
)
def test_what_is_no_part_of_a_bar_is_refused(
    arguments: tuple[int, int, int | None, int | None], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        make_bar(*arguments)


def test_a_bar_is_a_power_of_two_and_naturally_aligned() -> None:
    bar = make_bar(80 * GiB, 0, None, None)

    assert (bar.size, bar.address) == (128 * GiB, 128 * GiB)
    assert make_bar(MiB, 0, None, None).address == 64 * GiB
    assert make_bar(GiB, 0, None, (1 << 52) - GiB).address == (1 << 52) - GiB


@pytest.mark.parametrize("vma", ["5", "0x7fffffffffff", "0x7fffffff0000", "0", "-4K", "nowhere"])
def test_an_address_that_user_space_cannot_have_is_refused(vma: str) -> None:
    with pytest.raises(ModelError):
        place_window(make_bar(GiB, 0, None, None), GiB, 0, vma, KERNEL)


def test_windows_may_not_overlap() -> None:
    with pytest.raises(ModelError, match="two mappings overlap at 0x7f0000001000"):
        check_apart([WINDOW, Window(GiB, 0, 0x7F0000001000)])


def test_a_workload_in_words_is_its_steps() -> None:
    bar = make_bar(GiB, 0, None, None)
    made = make_workload(bar, WINDOW, "touch, 3*zap+touch, fork, child")

    assert [(step.name, step.times) for step in made.steps] == [
        ("touch", 1), ("3*zap+touch", 3), ("fork", 1), ("child", 1),
    ]  # fmt: skip
    assert made.steps[1].actions == (Memory(False), Memory(True), Touch())
    assert made.steps[2].actions == (Fork(),)


@pytest.mark.parametrize(
    ("word", "touch"),
    [
        ("10%", Touch(end=26215 * 4096)),
        ("middle", Touch(start=GiB // 2, end=GiB // 2 + 4096)),
        ("every-2M", Touch(every="pmd")),
        ("random", Touch(direction="random")),
    ],
)
def test_a_word_is_a_touch(word: str, touch: Touch) -> None:
    assert parse_step(word, WINDOW).actions == (touch,)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("touch,,zap", "a step of the workload is empty"),
        ("touch,", "a step of the workload is empty"),
        ("touch+", "a step of the workload is empty"),
        ("dance", "no step of a workload is called 'dance'; there are touch, "),
        ("0%", "0% of a mapping: a share is from 1% to 100%"),
        ("101%", "101% of a mapping: a share is from 1% to 100%"),
        ("0*touch", "at least once"),
        ("2*fork", "forks once"),
        ("fork,fork", "forks once"),
        ("child", "forks before it touches in the child"),
        ("unmap_dma", "maps before it unmaps"),
        ("map_dma,unmap_dma,unmap_dma", "maps before it unmaps"),
        ("map_dma,2*unmap_dma", "maps before it unmaps"),
        ("munmap,touch", "'touch': a workload is done with its mapping at munmap"),
        ("munmap,mremap", "'mremap': a workload is done with its mapping at munmap"),
        ("munmap+map_dma", "is done with its mapping at munmap"),
        ("munmap,munmap", "is done with its mapping at munmap"),
        ("2*munmap", "a mapping ends once"),
    ],
)
def test_what_is_no_workload_is_refused(words: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make_workload(make_bar(GiB, 0, None, None), WINDOW, words)


def test_a_window_that_moves_twice_is_back() -> None:
    made = make_workload(make_bar(GiB, 0, None, None), WINDOW, "mremap,touch,mremap+mremap")
    moves = [
        action.address for step in made.steps for action in step.actions
        if isinstance(action, Mremap)
    ]  # fmt: skip

    assert moves == [WINDOW.address + GiB, WINDOW.address, WINDOW.address + GiB]
