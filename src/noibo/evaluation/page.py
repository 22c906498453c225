"""One HTML page with charts, in English and Vietnamese. It loads nothing and runs nothing: its
policy allows its own style, by digest, and no more. The language is chosen by a pair of buttons
that the style alone understands."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from html import escape
from typing import Final

from noibo.evaluation.charts import KINDS, Series, chart, mark
from noibo.evaluation.measures import BY_KEY, Measured
from noibo.evaluation.report import Report
from noibo.evaluation.statistics import Estimate
from noibo.evaluation.words import (
    FIGURES,
    HEADINGS,
    LANGUAGES,
    PAGE,
    Language,
    estimate_text,
    in_unit,
    note_text,
    number,
)

_LIGHT: Final = ("#0b62c4", "#b3400d", "#1a7a3c", "#8a2fb0", "#8a6100", "#b0164f")
_DARK: Final = ("#6cb2ff", "#ff9a66", "#63d18a", "#d596f5", "#e6bd4f", "#ff86b3")
_FORM: Final = """
*{box-sizing:border-box}
body{margin:0 auto;max-width:72rem;padding:1rem;background:var(--back);color:var(--text);
font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.15rem;margin:1.6rem 0 .4rem}
h3{font-size:1rem;margin:1.2rem 0 .2rem}
.soft{color:var(--soft)}
.choice{float:right;font-size:.9rem}.choice label{padding:.2rem .5rem;cursor:pointer}
.choice input{accent-color:var(--s0)}
.legend{display:flex;flex-wrap:wrap;gap:.3rem 1.2rem;padding:0;list-style:none}
.legend,li,td,th{overflow-wrap:anywhere}
.mark{display:inline-block;width:1em;height:1em;vertical-align:-.1em;margin-right:.35em}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(24rem,100%),1fr));gap:1rem}
figure{margin:0;padding:.6rem;border:1px solid var(--grid);border-radius:.5rem}
figcaption{font-weight:600}
figure svg{display:block;width:100%;height:auto}
.grid{stroke:var(--grid);stroke-width:1}.tick{fill:var(--soft);font-size:12px}
.line{fill:none;stroke-width:2;opacity:.6}.bar{stroke-width:2}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem .3rem 0;
border-bottom:1px solid var(--grid)}
td{min-width:7.5rem;font-variant-numeric:tabular-nums}th{min-width:7rem;font-weight:500}
thead th{font-weight:700}.ratio{display:block;color:var(--soft);font-size:.88em}
.better{color:var(--good)}.worse{color:var(--bad)}
.vi{display:none}:root:has(#vi:checked) .vi{display:inline}
:root:has(#vi:checked) .en{display:none}
"""


def as_html(report: Report, language: Language = "en") -> str:
    """The page. `language` is the one it opens in."""
    style = _style()
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        f'<!doctype html>\n<html lang="{language}">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        f"<title>{escape(PAGE['title'][language])}</title>\n<style>{style}</style>\n</head>\n"
        f"<body>\n{''.join(_body(report, language))}</body>\n</html>\n"
    )


def _style() -> str:
    def colours(kinds: Sequence[str], **others: str) -> str:
        named = {f"s{which}": colour for which, colour in enumerate(kinds)} | others
        return "".join(f"--{name}:{colour};" for name, colour in named.items())

    light = colours(
        _LIGHT,
        back="#fff",
        text="#1b1e23",
        soft="#59616b",
        grid="#dfe3e8",
        good="#1a7a3c",
        bad="#b3261e",
    )
    dark = colours(
        _DARK,
        back="#14171b",
        text="#e8eaed",
        soft="#a3abb5",
        grid="#343a42",
        good="#63d18a",
        bad="#ff8a80",
    )
    series = "".join(
        f".s{which}{{stroke:var(--s{which})}}.point.s{which}{{fill:var(--s{which})}}"
        for which in range(KINDS)
    )
    return (
        f":root{{color-scheme:light dark;{light}}}"
        f"@media(prefers-color-scheme:dark){{:root{{{dark}}}}}{_FORM}{series}"
    )


def _body(report: Report, language: Language) -> Iterator[str]:
    yield _choice(language)
    yield f"<h1>{_both('title')}</h1>\n"
    plan, place = report.plan, report.place
    about = {"prompt": plan.prompt_tokens, "tokens": plan.tokens, "rounds": report.done}
    yield f'<p class="soft">{_both("intro", **about)}'
    yield f" {_both('made', **asdict(place))}</p>\n"
    names = [standing.side.name for standing in report.standings]
    yield '<ul class="legend">'
    for which, name in enumerate(names):
        yield f"<li>{mark(which)}{escape(name)}</li>"
    yield '</ul>\n<div class="charts">'
    callers = list(report.standings[0].cells)
    for key, heading in HEADINGS.items():
        rows = [report.row(name, many) for name in names for many in callers]
        unit, found = in_unit([row.figures.get(key) for row in rows], BY_KEY[key].unit)
        wide = len(callers)
        series = [Series(name, found[at * wide : (at + 1) * wide]) for at, name in enumerate(names)]
        drawn = chart(heading[language], callers, series)
        yield f"<figure><figcaption>{_spans(heading)}, {unit}</figcaption>{drawn}"
        yield f'<div class="soft">{_both("callers")}</div></figure>'
    yield "</div>\n"
    yield from _tables(report, names, callers)
    yield from _remarks(report)


def _choice(language: Language) -> str:
    names = {"en": "English", "vi": "Tiếng Việt"}
    buttons = "".join(
        f'<input type="radio" name="language" id="{one}"{" checked" * (one == language)}>'
        f'<label for="{one}" lang="{one}">{names[one]}</label>'
        for one in LANGUAGES
    )
    return f'<div class="choice">{buttons}</div>\n'


def _tables(report: Report, names: Sequence[str], callers: Sequence[int]) -> Iterator[str]:
    yield f"<h2>{_both('figures')}</h2>\n"
    if len(names) > 1:
        yield f'<p class="soft">{_both("ratios", first=names[0])}</p>\n'
    for many in callers:
        rows = [report.row(name, many) for name in names]
        yield f"<h3>{_both('callers')}: {many}</h3>\n"
        yield '<div class="scroll"><table><thead><tr><th></th>'
        yield "".join(f"<th>{mark(at)}{escape(name)}</th>" for at, name in enumerate(names))
        yield "</tr></thead><tbody>"
        yield from (_line(_both(key), cells) for key, cells in _counts(report, rows))
        for key, figure in BY_KEY.items():
            if any(key in row.figures for row in rows):
                unit, found = in_unit([row.figures.get(key) for row in rows], figure.unit)
                cells = [_cell(one, row, key) for one, row in zip(found, rows, strict=True)]
                yield _line(f"{_spans(FIGURES[key])}, {unit}", cells)
        yield "</tbody></table></div>\n"


def _counts(report: Report, rows: Sequence[Measured]) -> Iterator[tuple[str, list[str]]]:
    held = {one.side.name: one.memory for one in report.standings}
    yield "answers", [str(row.answers) for row in rows]
    yield "failed", [escape(_failed(row)) for row in rows]
    if any(held.values()):
        memory = [(held[row.side] or 0) / 1e9 for row in rows]
        yield "memory", [_amount(count, "GB") for count in memory]
    currency = report.place.currency
    yield "cost", [_amount(row.cost.per_million if row.cost else 0, currency) for row in rows]


def _amount(value: float, unit: str) -> str:
    if not value:
        return "-"
    return _spans({one: f"{number(value, one)} {unit}" for one in LANGUAGES})


def _failed(row: Measured) -> str:
    return ", ".join(f"{many} × {kind}" for kind, many in row.failures.items()) or "0"


def _line(head: str, cells: Sequence[str]) -> str:
    return f"<tr><th>{head}</th>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _cell(found: Estimate | None, row: Measured, key: str) -> str:
    said = _spans({one: estimate_text(found, one) for one in LANGUAGES})
    against = row.ratios.get(key)
    if against is None or against.value is None:
        return said
    texts = _spans({one: estimate_text(against, one) for one in LANGUAGES})
    return f'{said}<span class="ratio {_judged(against, BY_KEY[key].more)}">× {texts}</span>'


def _judged(against: Estimate, more: bool) -> str:
    """Whether it is surely better or worse than the first."""
    if against.low is None or against.high is None or against.low <= 1 <= against.high:
        return "level"
    return "better" if (against.low > 1) == more else "worse"


def _remarks(report: Report) -> Iterator[str]:
    yield f"<h2>{_both('notes')}</h2>\n<ul>"
    for note in report.notes:
        yield f"<li>{_spans({one: note_text(note, one) for one in LANGUAGES})}</li>"
    values = asdict(report.machine) | {"currency": report.place.currency}
    yield f"<li>{_both('machine', **values)}</li><li>{_both('too_few_meaning')}</li></ul>\n"


def _both(key: str, **values: object) -> str:
    """A text in both languages, of which the style shows one."""
    return _spans({one: text.format(**values) for one, text in PAGE[key].items()})


def _spans(texts: dict[str, str]) -> str:
    if len(set(texts.values())) == 1:
        return escape(texts["en"])
    return "".join(
        f'<span class="{one}" lang="{one}">{escape(text)}</span>' for one, text in texts.items()
    )
