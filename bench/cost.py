"""How long counting takes, from 1 GiB to 64 TiB: as many samples and pages for each size.

    .venv/bin/python bench/cost.py

Per size: samples that were simulated, pages touched in them, and the CPU time of all designs.
The mapping begins 4 KiB after a multiple of 1 GiB, so it has every edge there is.  Compare
the rows with each other, not with another machine.
"""

import resource
import time

from pfnlab.catalogue import all_designs
from pfnlab.cost.estimate import estimate, make_plan, simulated
from pfnlab.cost.request import make_bar, place_window
from pfnlab.cost.shape import Shape
from pfnlab.cost.simulate import Setting
from pfnlab.cost.words import make_workload
from pfnlab.kernel.geometry import GiB, TiB
from pfnlab.kernel.profile import find_kernel
from pfnlab.report.layout import size_text

SIZES = (GiB, 4 * GiB, 16 * GiB, 64 * GiB, 256 * GiB, TiB, 4 * TiB, 16 * TiB, 64 * TiB)
ADDRESS = "0x100000001000"


def main() -> None:
    print(
        f"{'size':>8}  {'pages of it':>15}  {'samples':>7}  {'pages':>6}  {'CPU s':>6}  {'MiB':>4}"
    )
    for size in SIZES:
        simulated.cache_clear()
        start = time.process_time()
        samples = pages = 0
        for design in all_designs().values():
            setting = Setting(design, find_kernel(design.kernel))
            bar = make_bar(size, 0, None, None)
            window = place_window(bar, size, 0, ADDRESS, setting.kernel)
            found = estimate(make_plan(Shape(make_workload(bar, window, "touch,zap"))), setting)
            samples, pages = samples + found.samples, pages + found.pages
        seconds = time.process_time() - start
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(
            f"{size_text(size):>8}  {size // 4096:>15,}  {samples:>7}  {pages:>6}  {seconds:>6.2f}"
            f"  {memory:>4}"
        )


if __name__ == "__main__":
    main()
