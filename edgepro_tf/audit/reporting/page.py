"""The audit's report as one HTML file that needs no network."""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from edgepro_tf.audit.attack import DEVELOPER, LABELS
from edgepro_tf.audit.reporting.advantage import deviation, name_share
from edgepro_tf.audit.reporting.plots import plot_bars, plot_lines
from edgepro_tf.audit.reporting.report import AuditReport, Summary
from edgepro_tf.audit.workbench.scratch import SCRATCH

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:920px;margin:2em auto;padding:0 1em;
color:#222}h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}
table{border-collapse:collapse;width:100%;font-size:13px}
td,th{padding:3px 8px;border-bottom:1px solid #ddd;text-align:right;vertical-align:top}
td:first-child,th:first-child,td.words{text-align:left}
.figure{font-size:4.2em;font-weight:700;line-height:1.1}.good{color:#047857}
.bad{color:#b91c1c}.small{font-size:13px;color:#555}
.plot{width:100%;font:11px system-ui,sans-serif}.key{color:#555}
"""
_LIMIT = 0.02  # The bar of the project: two points.
_MOST_LINES = 12


def write_page(report: AuditReport) -> str:
    """The whole page; colours follow the bar of two points."""
    facts = report.facts
    title = f"Audit of {facts.get('name', 'a public model')}"
    return "\n".join(
        [
            "<!doctype html><html lang='en'><meta charset='utf-8'>",
            f"<title>{html.escape(title)}</title><style>{_STYLE}</style>",
            f"<h1>{html.escape(title)}</h1>",
            _headline(report),
            f"<h2>{report.score.capitalize()} against data</h2>",
            _accuracy_plot(report),
            *_share_sections(report),
            "<h2>Without labels</h2>",
            _table(
                report,
                [s for s in report.summaries if s.needs not in (LABELS, DEVELOPER)],
            ),
            "<h2>Who knows a part of the lock</h2>",
            "<p class='small'>Measurements, not attacks: they read the secret.</p>",
            _table(report, [s for s in report.summaries if s.needs == DEVELOPER]),
            "<h2>What was not tested</h2><ul>",
            *[f"<li>{html.escape(text)}</li>" for text in report.not_tested],
            "</ul><h2>What was audited</h2>",
            _facts(report),
            "</html>",
        ]
    )


def _headline(report: AuditReport) -> str:
    worst = report.worst
    if worst.is_first_look:
        return _first_look(report)
    colour = "good" if worst.value <= _LIMIT else "bad"
    rows = "".join(
        f"<tr><td>{name_share(one.share, one.labels)}</td><td>{one.scratch:.1%}</td>"
        f"<td>{one.accuracy:.1%}</td>"
        f"<td><b>{100 * one.value:+.1f}</b> &plusmn; {deviation(one.spread)}</td>"
        f"<td>{deviation(one.error)}</td><td>{100 * one.held_out:+.1f}</td>"
        f"<td>{100 * one.luck:+.1f}</td>"
        f"<td class='words'>{html.escape(one.attack)}</td></tr>"
        for one in report.advantages
    )
    return (
        f"<div class='figure {colour}'>{100 * worst.value:+.1f} points</div>"
        "<p>is the <b>thief's advantage</b>: the best of all attacks on the public "
        "file, minus what the same labels give to someone who trains the same network "
        f"from nothing. It is the largest over the shares of data, here with "
        f"{name_share(worst.share, worst.labels)}; the mean is "
        f"{100 * report.mean_advantage:+.1f}. At 0 or below the file is worth nothing "
        f"to him; green is up to {100 * _LIMIT:.0f}, the bar that EdgePro is held to."
        "</p>"
        "<table><tr><th>data</th><th>scratch</th><th>best attack</th>"
        "<th>advantage, points</th><th>standard error</th><th>held out</th>"
        "<th>by luck</th>"
        "<th class='words'>by</th></tr>"
        f"{rows}</table><p class='small'>&plusmn; is the standard deviation over "
        f"seeds, each a thief; they hold {_locks(report)} of the lock. The best "
        "of many noisy figures is too good by chance; <i>held out</i> "
        "chooses the attack on the other seeds, <i>by luck</i> is what the best of as "
        "many further starts of scratch would show.</p>"
        f"{_sentences(report)}"
    )


def _first_look(report: AuditReport) -> str:
    rows = "".join(f"<p>{html.escape(str(one))}</p>" for one in report.advantages)
    return (
        "<div class='figure'>no figure yet</div>"
        "<p>There was no time to train from nothing, and to attack, in all the ways "
        "that the <b>thief's advantage</b> is the difference of.</p>"
        f"{rows}{_sentences(report)}"
    )


def _sentences(report: AuditReport) -> str:
    lines = (f"{report.taken} {report.reached}", *report.cautions)
    return "".join(f"<p>{html.escape(line)}</p>" for line in lines)


def _locks(report: AuditReport) -> str:
    drawn = int(report.facts.get("locks_drawn", 1))
    return "one draw" if drawn == 1 else f"{drawn} draws in turn"


def _accuracy_plot(report: AuditReport) -> str:
    labelled = [s for s in report.summaries if s.needs == LABELS]
    names = {s.attack: s.accuracy for s in sorted(labelled, key=lambda s: s.share)}
    ordered = sorted(names, key=lambda n: (n != SCRATCH, -names[n]))[:_MOST_LINES]
    lines = []
    for name in ordered:
        mine = sorted(
            (s.share, s.accuracy, s.spread or 0.0) for s in labelled if s.attack == name
        )
        lines.append((name, mine))
    return plot_lines(lines)


def _share_sections(report: AuditReport) -> Iterable[str]:
    labelled = [s for s in report.summaries if s.needs == LABELS]
    labels = {one.share: one.labels for one in report.advantages}
    key = lambda s: s.share  # noqa: E731
    for share, group in itertools.groupby(sorted(labelled, key=key), key):
        mine = sorted(group, key=lambda s: -(s.advantage or 0.0))
        yield f"<h2>With {name_share(share, labels.get(share))}</h2>"
        yield plot_bars(
            [
                (s.attack, s.advantage, s.advantage_spread or 0.0)
                for s in mine
                if s.advantage is not None and s.attack != SCRATCH
            ]
        )
        yield _table(report, mine)


def _table(report: AuditReport, summaries: Iterable[Summary]) -> str:
    rows = []
    for s in sorted(summaries, key=lambda s: not s.applies):
        gain = "" if s.advantage is None else f"{100 * s.advantage:+.1f}"
        reached = f"{s.accuracy:.1%} &plusmn; {deviation(s.spread)}"
        rows.append(
            f"<tr><td>{html.escape(s.attack)}<br><span class='small'>"
            f"{html.escape(s.source)}</span></td><td>"
            f"{reached if s.applies else 'does not apply'}</td>"
            f"<td>{gain}</td><td>{s.seconds:.1f} s</td>"
            f"<td class='words small'>{html.escape(_chosen(s.chosen))}"
            f"{_details(s.details).replace('accuracy', report.score)}</td></tr>"
        )
    return (
        f"<table><tr><th>attack</th><th>{report.score}</th><th>minus scratch</th>"
        f"<th>time</th><th class='words'>chosen</th></tr>{''.join(rows)}</table>"
    )


def _chosen(chosen: Sequence[str]) -> str:
    return "; ".join(dict.fromkeys(text for text in chosen if text))


def _details(details: Sequence[dict[str, Any]]) -> str:
    """Figures that are plain numbers, averaged over the seeds."""
    first = details[0] if details else {}
    shown = []
    for name, value in first.items():
        if isinstance(value, int | float):
            mean = sum(d[name] for d in details if name in d) / len(details)
            shown.append(f"{name.replace('_', ' ')} {mean:.3g}")
    return html.escape(f" [{', '.join(shown)}]") if shown else ""


def _facts(report: AuditReport) -> str:
    named = {
        name.replace("accuracy", report.score): _words(name, value)
        for name, value in report.facts.items()
        if value is not None
    }
    rows = "".join(
        f"<tr><td class='key'>{html.escape(name.replace('_', ' '))}</td>"
        f"<td class='words'>{html.escape(words)}</td></tr>"
        for name, words in named.items()
    )
    return f"<table>{rows}</table>"


def _words(name: Any, value: Any) -> str:
    """A fact for people: accuracies and shares in %, settings in one line."""
    if isinstance(value, list | tuple):
        return ", ".join(_words(name, each) for each in value)
    if isinstance(value, dict):
        pairs = (
            (_words("shares", key), _words(key, each)) for key, each in value.items()
        )
        return "; ".join(f"{key.replace('_', ' ')} {each}" for key, each in pairs)
    if isinstance(value, float) and str(name).endswith(
        ("accuracy", "chance", "shares")
    ):
        return f"{value:.1%}"
    return f"{value:g}" if isinstance(value, float) else str(value)
