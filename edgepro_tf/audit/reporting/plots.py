"""Plots as inline SVG: no script, no network, no font but the browser's own.

Drawn by hand: matplotlib's SVG of the same lines is 3.6 times the size, gives ids that
clash where one page has several plots, and an audit needs no matplotlib otherwise.
"""

from __future__ import annotations

import html
from collections.abc import Sequence

COLOURS = (
    "#b91c1c", "#1d4ed8", "#047857", "#a16207", "#7e22ce", "#0e7490", "#be185d",
    "#4d7c0f", "#c2410c", "#4338ca", "#0f766e", "#86198f",
)  # fmt: skip
_WIDTH = 860  # Pixels, as the page's text.
Point = tuple[float, float, float]


def plot_lines(lines: Sequence[tuple[str, Sequence[Point]]]) -> str:
    """Accuracy against share of the data, one line an attack, with spread bars.

    Args:
        lines: label and points (share, accuracy, spread), accuracies from 0 to 1; the
            first line (scratch) is drawn thick and black.

    Returns:
        One ``<svg>`` element.
    """
    width, height = _WIDTH, 380
    left, top, right, bottom = 46, 12, 300, 34
    shares = sorted({x for _, points in lines for x, _, _ in points})
    step = (width - left - right) / max(1, len(shares) - 1)

    def at(share: float, accuracy: float) -> tuple[float, float]:
        y = top + (1 - accuracy) * (height - top - bottom)
        return left + shares.index(share) * step, y

    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" class="plot">']
    for tenth in range(0, 11, 2):
        _, y = at(shares[0], tenth / 10)
        parts.append(
            f'<line x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}" '
            f'stroke="#ddd"/><text x="{left - 6}" y="{y + 4:.1f}" '
            f'text-anchor="end">{10 * tenth} %</text>'
        )
    for share in shares:
        x, _ = at(share, 0)
        parts.append(
            f'<text x="{x:.1f}" y="{height - 12}" text-anchor="middle">'
            f"{100 * share:g} % of the data</text>"
        )
    for i, (label, points) in enumerate(lines):
        parts.append(_line(i, label, [(*at(x, y), s) for x, y, s in points], height))
        y = top + 10 + 17 * i
        colour, stroke = _style(i)
        parts.append(
            f'<line x1="{width - right + 20}" x2="{width - right + 42}" y1="{y}" '
            f'y2="{y}" stroke="{colour}" stroke-width="{stroke}"/>'
            f'<text x="{width - right + 48}" y="{y + 4}">{html.escape(label)}</text>'
        )
    return "".join([*parts, "</svg>"])


def plot_bars(bars: Sequence[tuple[str, float, float]]) -> str:
    """Horizontal bars around zero with spread: advantage in points, attack by attack.

    Args:
        bars: label, value, spread (shares of 1).
    """
    width, row, left = _WIDTH, 22, 300
    most = max([abs(v) + s for _, v, s in bars] + [0.02])
    middle = left + (width - left - 60) / 2
    scale = (width - left - 60) / 2 / most
    height = row * len(bars) + 12
    parts = [
        f'<svg viewBox="0 0 {width} {height}" role="img" class="plot">'
        f'<line x1="{middle}" x2="{middle}" y1="0" y2="{height}" stroke="#888"/>'
    ]
    for i, (label, value, spread) in enumerate(bars):
        y = row * i + 8
        x, size = min(middle, middle + value * scale), abs(value) * scale
        colour = "#b91c1c" if value > 0 else "#047857"
        low, high = middle + (value - spread) * scale, middle + (value + spread) * scale
        parts.append(
            f'<text x="{left - 8}" y="{y + 11}" text-anchor="end">'
            f"{html.escape(label)}</text>"
            f'<rect x="{x:.1f}" y="{y}" width="{size:.1f}" height="14" '
            f'fill="{colour}" opacity="0.75"/>'
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y + 7}" y2="{y + 7}" '
            'stroke="#222"/>'
            f'<text x="{width - 4}" y="{y + 11}" text-anchor="end">'
            f"{100 * value:+.1f}</text>"
        )
    return "".join([*parts, "</svg>"])


def _line(
    i: int, label: str, points: Sequence[tuple[float, float, float]], height: int
) -> str:
    colour, stroke = _style(i)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y, _ in points)
    bars = "".join(
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - s * (height - 46):.1f}" '
        f'y2="{y + s * (height - 46):.1f}" stroke="{colour}"/>'
        for x, y, s in points
    )
    # A share alone makes no line.
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{1.5 + stroke / 2:g}" fill="{colour}"/>'
        for x, y, _ in points
    )
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" '
        f'stroke-width="{stroke}"><title>{html.escape(label)}</title></polyline>{bars}{dots}'
    )


def _style(i: int) -> tuple[str, float]:
    return ("#111", 3.5) if i == 0 else (COLOURS[(i - 1) % len(COLOURS)], 1.6)
