"""Tables for people: plain text for terminals, HTML for notebooks. No dependency."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

# Colours that read on light and dark pages.
COLOURS = {
    "ok": "#2e8b57",
    "violated": "#c0392b",
    "unknown": "#b7791f",
    "leader": "#2e8b57",
    "down": "#c0392b",
}


def text_table(rows: Iterable[Sequence[object]], header: Sequence[str] = ()) -> str:
    """Columns padded to their widest cell, two spaces apart; numbers to the right."""
    cells = [[str(cell) for cell in row] for row in rows]
    numeric = [all(_is_number(row[i]) for row in cells) for i in range(len(cells[0]))] if cells else []
    if header:
        cells.insert(0, list(header))
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))] if cells else []
    lines = []
    for row in cells:
        padded = (
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric or [False] * len(widths), strict=True)
        )
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def _is_number(cell: str) -> bool:
    return not cell or cell.replace(".", "", 1).replace("-", "", 1).replace("e", "", 1).isdigit()


def html_table(rows: Iterable[Sequence[object]], header: Sequence[str], caption: str = "") -> str:
    """A table; a cell that is one of the words of COLOURS is coloured."""
    parts = ["<table>"]
    if caption:
        parts.append(f"<caption style='text-align:left'>{escape(caption)}</caption>")
    parts.append("<thead><tr>" + "".join(f"<th>{escape(h)}</th>" for h in header) + "</tr></thead><tbody>")
    for row in rows:
        parts.append("<tr>" + "".join(_html_cell(str(cell)) for cell in row) + "</tr>")
    parts.append("</tbody></table>")
    return "".join(parts)


def _html_cell(text: str) -> str:
    style = "text-align:left"
    if text in COLOURS:
        style += f";color:{COLOURS[text]};font-weight:bold"
    return f"<td style='{style}'>{escape(text)}</td>"


def seconds_text(seconds: float | None) -> str:
    """A duration in the unit that people would use."""
    if seconds is None:
        return ""
    size = abs(seconds)
    if size == 0 or size >= 1:
        return f"{seconds:.6g} s"
    if size >= 1e-3:
        return f"{seconds * 1e3:.4g} ms"
    return f"{seconds * 1e6:.4g} us"
