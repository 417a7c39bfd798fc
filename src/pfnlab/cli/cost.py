"""pfnlab cost, explain and calibrate: what a mapping costs, and why it is not huge."""

import json
from pathlib import Path
from typing import Annotated

import typer

import pfnlab
from pfnlab.catalogue import all_designs, explaining, never_had, ships
from pfnlab.cli.jobs import tell
from pfnlab.cli.mapping import Asked, BarAddress, BarSize, KernelName, Offset, Size, Vma
from pfnlab.cli.options import AsJson, Madvise, Thp
from pfnlab.cli.output import check_new, check_place, naming, write_whole
from pfnlab.cli.runs import progress_line
from pfnlab.cost.address import check_user_space
from pfnlab.cost.calibration import Calibration, find_calibration, toml_text
from pfnlab.cost.estimate import Cost, estimate, make_plan
from pfnlab.cost.explain import explain as explain_window
from pfnlab.cost.measure import measure
from pfnlab.cost.repeats import COMPARED, counted, must_repeat
from pfnlab.cost.shape import Shape
from pfnlab.cost.simulate import Setting
from pfnlab.cost.words import check_apart, check_pages, make_workload, parse_size
from pfnlab.engine.errors import ModelError
from pfnlab.kernel.geometry import PAGE_SIZE
from pfnlab.lab.files import written
from pfnlab.report.cost import costs_data, costs_text
from pfnlab.report.explain import explanation_data, explanation_text
from pfnlab.report.layout import size_text
from pfnlab.workload import Bar, Step, Touch, Window, Workload


def cost(
    size: Size,
    offset: Offset = "0",
    vma: Vma = "best",
    design: Annotated[
        list[str] | None, typer.Option(help="A name, or ./file.py[:name]; repeatable.")
    ] = None,
    kernel: KernelName = None,
    thp: Thp = "always",
    madvise: Madvise = None,
    bar_size: BarSize = None,
    bar_address: BarAddress = None,
    workload: Annotated[
        str, typer.Option(help="Steps with commas: touch, random, 10%, zap, fork, map_dma, ...")
    ] = "touch,zap",
    calibration: Annotated[
        str | None, typer.Option(help="Show times by it: a name, or ./file.toml.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw sizes up to --size into this .svg or .png.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Count what a mapping costs: faults, leaves, page tables, lookups, locks."""
    asked = Asked(size, offset, vma, bar_size, bar_address, kernel, thp, madvise)
    times = None if calibration is None else find_calibration(calibration)
    names = design or list(all_designs())
    if plot is not None:
        check_picture(plot)
        draw(asked, names, workload, times, plot)
    costs = costs_of(asked, names, workload)
    for each in costs if design else ():
        tell_if_never_had(each.setting)
        if not ships(each.setting.design) and each.samples > 1:
            tell_how_far(each.setting)
    if as_json:
        print(json.dumps(costs_data(pfnlab.__version__, costs, times), indent=2))
    else:
        print(costs_text(costs, times))


def tell_if_never_had(setting: Setting) -> None:
    text = never_had(setting.kernel, setting.design)
    if text:
        tell(text)


def tell_how_far(setting: Setting) -> None:
    tell(
        f"{setting.design.name} is counted in parts, as its first {size_text(COMPARED)} allow: "
        "what it does further on alone is not seen"
    )


def costs_of(asked: Asked, names: list[str], words: str) -> list[Cost]:
    """Designs of which each is on its own kernel may have addresses of their own."""
    bar = asked.bar()
    plans = {}
    costs: list[Cost] = []
    with progress_line(len(names)) as show:
        for done, name in enumerate(names):
            setting = asked.setting(name)
            its = setting.design.name
            if any(its == cost.setting.design.name for cost in costs):
                raise ModelError(f"two designs are called {its}; give one another name")
            made = make_workload(bar, asked.window(setting.kernel, bar), words)
            show(f"counting {its}", done)
            with explaining(setting.design.files()):
                if not ships(setting.design):
                    costs.append(counted(made, setting))
                    continue
                if made not in plans:
                    plans[made] = make_plan(Shape(made))
                costs.append(estimate(plans[made], setting))
    return costs


def check_picture(path: Path) -> None:
    if path.suffix not in (".svg", ".png"):
        raise ModelError(f"--plot {path}: the name of a picture ends in .svg or .png")
    check_place(path)


def draw(asked: Asked, names: list[str], words: str, times: Calibration | None, path: Path) -> None:
    try:
        from pfnlab.report.plot import plot_costs, sizes_to
    except ModuleNotFoundError as error:
        raise ModelError(f"--plot needs {error.name}: install pfnlab[plot]") from error
    if asked.vma not in ("best", "natural") or parse_size(asked.offset, "offset"):
        raise ModelError("--plot draws whole BARs: --vma best or natural, and no --offset")
    if asked.bar_size is not None or asked.bar_address is not None:
        raise ModelError("--plot draws BARs of many sizes: no --bar-size, and no --bar-address")
    asked.bar()
    rows: dict[str, list[Cost]] = {name: [] for name in names}
    # The largest first: what is too large is refused at once.
    for size in reversed(sizes_to(parse_size(asked.size))):
        each = Asked(str(size), "0", asked.vma, None, None, asked.kernel, asked.thp, asked.madvise)
        for name, found in zip(names, costs_of(each, names, words), strict=True):
            rows[name].insert(0, found)
    with naming(path), written(path) as file:
        plot_costs(rows, words, times, file, path.suffix.removeprefix("."))


def explain(
    size: Size,
    offset: Offset = "0",
    vma: Vma = "best",
    design: Annotated[
        str | None,
        typer.Option(
            help="A name, or ./file.py[:name]; by default that of --kernel, else huge_fault."
        ),
    ] = None,
    kernel: KernelName = None,
    thp: Thp = "always",
    madvise: Madvise = None,
    bar_size: BarSize = None,
    bar_address: BarAddress = None,
    hole: Annotated[
        list[str] | None,
        typer.Option(help="OFFSET:SIZE in the BAR that cannot be mapped, as an MSI-X table."),
    ] = None,
    after: Annotated[
        list[str] | None,
        typer.Option(
            help="ADDRESS:SIZE:OFFSET of a mapping of the BAR that was touched before; repeatable."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say which leaves a mapping gets, and why not larger ones."""
    asked = Asked(size, offset, vma, bar_size, bar_address, kernel, thp, madvise)
    bar = asked.bar()
    setting = asked.setting(design or asked.usual_design())
    window = asked.window(setting.kernel, bar)
    before = tuple(parse_window(text, bar) for text in after or ())
    if hole and len(hole) > 1:
        raise ModelError("one --hole can be told at a time; ask for each part beside the others")
    gap = parse_hole(hole[0], bar) if hole else None
    parts = [window] if gap is None else around(window, gap)
    check_apart([*before, *parts])
    found = []
    for part in parts:
        with explaining(setting.design.files()):
            if not ships(setting.design):
                must_repeat(Workload(bar, (part,), (Step("touch", (Touch(),)),)), setting)
            found.append(explain_window(bar, part, setting, before, gap))
        before = (*before, part)
    tell_if_never_had(setting)
    if not ships(setting.design) and window.size > COMPARED:
        tell_how_far(setting)
    if as_json:
        data = [explanation_data(pfnlab.__version__, each) for each in found]
        print(json.dumps(data if gap else data[0], indent=2))
    else:
        print("\n\n".join(explanation_text(each) for each in found))


def parse_window(text: str, bar: Bar) -> Window:
    parts = text.split(":")
    if len(parts) != 3:
        raise ModelError(f"--after {text}: write ADDRESS:SIZE:OFFSET")
    address, size, offset = (parse_size(part, "--after") for part in parts)
    for what, value in (("address", address), ("size", size), ("offset", offset)):
        check_pages(f"--after {what}", value, 0 if what == "offset" else PAGE_SIZE)
    if offset + size > bar.size:
        raise ModelError(f"--after {text}: it ends beyond the BAR, which has {bar.size:#x} bytes")
    check_user_space(address, size)
    return Window(size, offset, address)


def parse_hole(text: str, bar: Bar) -> tuple[int, int]:
    start, colon, size = text.partition(":")
    if not colon:
        raise ModelError(f"--hole {text}: write OFFSET:SIZE")
    first = parse_size(start, "--hole")
    last = first + parse_size(size, "--hole")
    if first == last:
        raise ModelError(f"--hole {text}: a hole of no bytes is none")
    if last > bar.size:
        raise ModelError(f"--hole {text}: it ends beyond the BAR, which has {bar.size:#x} bytes")
    return first // PAGE_SIZE * PAGE_SIZE, -(-last // PAGE_SIZE) * PAGE_SIZE


def around(window: Window, hole: tuple[int, int]) -> list[Window]:
    """What is left of a window, in one or two mappings."""
    shift = window.address - window.offset
    end = window.offset + window.size
    parts = [(window.offset, min(hole[0], end)), (max(hole[1], window.offset), end)]
    left = [
        Window(stop - start, start, start + shift, window.advice)
        for start, stop in parts
        if start < stop
    ]
    if not left:
        raise ModelError("the hole leaves nothing to map")
    return left


def calibrate(
    name: Annotated[str, typer.Option(help="How times by it are to be named.")] = "this-host",
    output: Annotated[Path | None, typer.Option(help="Write it to this .toml file.")] = None,
) -> None:
    """Measure what this host takes for a fault, a zap and a fork; needs no device."""
    if output is not None:
        if output.suffix != ".toml":
            raise ModelError(f"--output {output}: the name of a calibration ends in .toml")
        check_new(output)
    found = measure(name)
    text = toml_text(found.calibration)
    if output is None:
        print(text, end="")
    else:
        write_whole(output, text)
        print(f"Wrote {output}.")
    for key, reason in found.skipped.items():
        typer.echo(f"not measured: {key}: {reason}", err=True)
