"""The bars the project holds itself to; each is judged where its figure is made."""

from __future__ import annotations

from typing import Any

LATENCY_RATIO = 1.01
LIGHT_LOAD_RATIO = 1.10  # to the plain load: MobileNetV2 int8, depthwise-only budgets
CONVERSION_RATIO = 2.5
STEP_RATIO = 1.2  # a lock-training step to an ordinary one
UNEXPLAINED_BY_LINE = 0.02  # 1 - R^2 of seconds over megabytes


def judge(value: float, limit: float) -> dict[str, float]:
    """A bar, as the JSON holds it: the value shall not be above the limit."""
    return {"value": value, "limit": limit, "missed_by": max(0.0, value - limit)}


def verdict(bar: dict[str, float] | None, form: str = ".3f") -> str:
    """``met``, ``missed by 0.012``, or ``-`` where no bar applies."""
    if bar is None:
        return "-"
    if not bar["missed_by"]:
        return "met"
    return f"missed by {bar['missed_by']:{form}}"


def find_bars(document: Any, path: str = "") -> dict[str, dict[str, float]]:
    """Every bar anywhere in the results, by its path in the JSON."""
    if not isinstance(document, dict):
        return {}
    if "missed_by" in document:
        return {path: document}
    found: dict[str, dict[str, float]] = {}
    for key, value in document.items():
        found |= find_bars(value, f"{path} / {key}" if path else key)
    return found
