"""Figures of the rounds, their medians, and the table."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass


class Results:
    """What each part measured, by round."""

    def __init__(self) -> None:
        self.rounds: dict[str, list[dict[str, float]]] = defaultdict(list)

    def add(self, part: str, figures: dict[str, float]) -> None:
        """One part in one round."""
        self.rounds[part].append(figures)

    def has(self, part: str) -> bool:
        """Whether the part was measured."""
        return bool(self.rounds.get(part))

    def median(self, part: str, figure: str) -> float | None:
        """Over the rounds; None if it was not measured."""
        values = [figures[figure] for figures in self.rounds.get(part, []) if figure in figures]
        return statistics.median(values) if values else None

    def ratio(self, part: str, figure: str, other: str, other_figure: str) -> float | None:
        """Median of the ratios within each round, the ratio of what was measured side by side."""
        pairs = zip(self.rounds.get(part, []), self.rounds.get(other, []))
        values = [a[figure] / b[other_figure] for a, b in pairs if a.get(figure) is not None and b.get(other_figure)]
        return statistics.median(values) if values else None


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    what: str
    figure: str
    ratio: str = ""
    note: str = ""


def table(rows: Iterable[Row]) -> str:
    """As Markdown, aligned, so that it can be read and pasted."""
    cells = [("what", "figure", "ratio", "notes"), *((row.what, row.figure, row.ratio, row.note) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(4)]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in cells]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)
