"""How far a search has come, on one line."""

from pfnlab.explorer.estimate import Estimate, Progress
from pfnlab.report.layout import many


def progress_text(progress: Progress) -> str:
    """ "1,200 of about 9,600 schedules (4,000 to 12,000), 8,100/s, 2 s left, 3 failing"."""
    estimate = progress.estimate
    text = f"{progress.schedules:,}"
    if estimate is not None:
        text += f" of about {rounded(estimate.total)} schedules{_interval(estimate)}"
    else:
        text = many(progress.schedules, "schedule")
    parts = [text, f"{rounded(round(progress.rate))}/s"]
    if progress.left is not None:
        parts.append(f"{time_text(progress.left)} left")
    if progress.failing:
        parts.append(f"{progress.failing:,} failing")
    return ", ".join(parts)


def rounded(number: int) -> str:
    """Two digits of it, as nobody knows the others."""
    digits = len(str(number)) - 2
    return f"{round(number, -digits) if digits > 0 else number:,}"


def time_text(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    hours = seconds / 3600
    return f"{hours:.0f} h" if hours < 48 else f"{hours / 24:,.0f} days"


def _interval(estimate: Estimate) -> str:
    least, most = rounded(estimate.least), rounded(estimate.most)
    return "" if least == most else f" ({least} to {most})"
