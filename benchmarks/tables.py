"""The results as text: every bar stands beside its figure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from benchmarks.bars import (
    CONVERSION_RATIO,
    LATENCY_RATIO,
    LIGHT_LOAD_RATIO,
    UNEXPLAINED_BY_LINE,
    find_bars,
    verdict,
)
from benchmarks.loading import MEMORY
from benchmarks.variants import VARIANTS
from edgepro_tf.cli.console import format_table

Row = list[str]


def format_results(document: dict[str, Any]) -> str:
    """One table for each part that was measured, and the bars that were missed."""
    subjects = document["subjects"]
    tables = [
        (
            "sidecar|tensors|payload B|sidecar B|<= 2,048 + 16 a tensor|opens in ms"
            "|rewritten",
            _sidecar_rows(subjects),
        ),
        (
            f"latency|plain ms|protected ms|protected|<= {LATENCY_RATIO:g}|A/A"
            "|A/A rounds|in A/A rounds|MUL layers|claiming",
            _latency_rows(subjects),
        ),
        (
            f"load|plain ms|ms|first answer ms|to plain|<= {LIGHT_LOAD_RATIO:g}|A/A"
            "|to AES-256-GCM|<= 1|AES-256-GCM|MUL layers|claiming",
            _loading_rows(subjects),
        ),
        (
            "memory added, MiB|anonymous|<= AES|peak anonymous|<= AES|peak|<= AES",
            _memory_rows(subjects),
        ),
        (
            f"conversion|stock s|total s|locking s|to stock|<= {CONVERSION_RATIO:g}",
            _conversion_rows(document),
        ),
        (
            f"growth|R^2|>= {1 - UNEXPLAINED_BY_LINE:g}|s a MB|MB/s at first"
            "|MB/s at last",
            _line_rows(document.get("growth", {})),
        ),
    ]
    parts = []
    for header, rows in tables:
        if found := list(rows):
            parts.append(format_table(header.split("|"), found))
    return "\n\n".join([*parts, format_missed(document)])


def format_missed(document: dict[str, Any]) -> str:
    """How many bars are met, and a line for each that is not."""
    bars = find_bars(document)
    missed = {path: bar for path, bar in bars.items() if bar["missed_by"]}
    lines = [f"bars: {len(bars) - len(missed)} of {len(bars)} met"]
    for path, bar in missed.items():
        figure = f"{bar['value']:.4g}, bar {bar['limit']:.4g}"
        lines.append(f"  {path}: {figure}, {verdict(bar, '.3g')}")
    return "\n".join(lines)


def _sidecar_rows(subjects: dict[str, Any]) -> Iterator[Row]:
    for name, result in subjects.items():
        yield [
            name,
            str(result["tensors"]),
            f"{result['payload_bytes']:,}",
            f"{result['sidecar_bytes']:,}",
            verdict(result["sidecar_bar"], ",.0f"),
            f"{result['opening_ms']:.1f}" if "opening_ms" in result else "-",
            f"{result['bytes_rewritten'] / result['model_bytes']:.1%}",
        ]


def _latency_rows(subjects: dict[str, Any]) -> Iterator[Row]:
    for label, figures in _conditions(subjects, "latency"):
        protected, again = figures["protected"], figures["again"]
        yield [
            label,
            f"{protected['plain_ms']:.2f}",
            f"{protected['ms']:.2f}",
            _ratio(protected),
            verdict(protected["ratio_bar"]),
            _ratio(again),
            _range(again["spread"]),
            verdict(protected["spread_bar"]),
            _ratio(figures["multiplied"]),
            _ratio(figures["claimed"]),
        ]


def _loading_rows(subjects: dict[str, Any]) -> Iterator[Row]:
    for label, figures in _conditions(subjects, "loading"):
        protected = figures["protected"]
        yield [
            label,
            f"{figures['plain']['load_ms']:.1f}",
            f"{protected['load_ms']:.1f}",
            f"{protected['first_answer_ms']:.1f}",
            _ratio(protected),
            verdict(protected.get("plain_bar")),
            _ratio(figures["again"]),
            _ratio(protected["to_encrypted"]),
            verdict(protected["encrypted_bar"]),
            *(_ratio(figures[key]) for key in ("encrypted", "multiplied", "claimed")),
        ]


def _memory_rows(subjects: dict[str, Any]) -> Iterator[Row]:
    for name, result in subjects.items():
        for variant, figures in result.get("memory", {}).items():
            row = [f"{name}, {VARIANTS[variant]}"]
            for key in MEMORY:
                row += [
                    f"{figures[key]:.1f}",
                    verdict(figures.get(f"{key}_bar"), ".1f"),
                ]
            yield row


def _conversion_rows(document: dict[str, Any]) -> Iterator[Row]:
    found = {
        f"{network}, {way.replace('_', '-')}": figures
        for network, ways in document.get("conversion", {}).items()
        for way, figures in ways.items()
        if isinstance(figures, dict)
    }
    for label, figures in (found | document.get("growth", {}).get("sizes", {})).items():
        yield [
            label,
            f"{figures['stock_s']:.2f}",
            f"{figures['convert_s']:.2f}",
            f"{figures['locking_s']:.2f}",
            _ratio(figures),
            verdict(figures["bar"]),
        ]


def _line_rows(growth: dict[str, Any]) -> Iterator[Row]:
    for key, label in (("convert_s", "total"), ("locking_s", "locking")):
        if line := growth.get(key):
            yield [
                label,
                f"{line['r_squared']:.4f}",
                verdict(line["bar"]),
                f"{line['seconds_a_mb']:.4f}",
                *(f"{speed:.1f}" for speed in line["mb_a_second"]),
            ]


def _conditions(
    subjects: dict[str, Any], part: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, result in subjects.items():
        for condition, figures in result.get(part, {}).items():
            yield f"{name}, {condition}", figures


def _ratio(figures: dict[str, Any]) -> str:
    return f"{figures['ratio']:.3f} {_range(figures['interval'])}"


def _range(ends: list[float]) -> str:
    return f"[{ends[0]:.3f}, {ends[1]:.3f}]"
