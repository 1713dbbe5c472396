"""Figures as Markdown: medians of the rounds, and their spread where there are several."""

from collections.abc import Sequence
from statistics import median


def spread(values: Sequence[float], form: str) -> str:
    """`form` is for `str.format`, with a unit after the number if there is one."""
    middle = form.format(median(values))
    if len(values) == 1:
        return middle
    plain = form.partition("}")[0] + "}"
    return f"{middle} ({plain.format(min(values))} – {plain.format(max(values))})"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
