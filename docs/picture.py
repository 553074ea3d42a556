#!/usr/bin/env python3
r"""Draw coloured terminal output as an SVG, for the README.

Reads text with ANSI colours from standard input and writes the SVG of a dark terminal window.
A line longer than the window wraps where a terminal would wrap it. The same text always gives the
same bytes. Of long output, --top and --bottom keep the two ends, with an ellipsis between.

docs/plan.svg is drawn from a plan of the fixtures, in a terminal of 100 columns:

    repo=$(mktemp -d) && git init -q -b main "$repo"
    save() { git -C "$repo" add -A && GIT_COMMITTER_DATE=2026-11-22T12:00:00Z git -C "$repo" \
        -c user.name=Polyphony -c user.email=polyphony@example.com \
        commit -q --date 2026-11-22T12:00:00Z -m "$1"; }
    cp -R fixtures/zipline/base/compiled "$repo" && save base
    git -C "$repo" switch -q -c change
    cp -R fixtures/zipline/changes/{staging-sql-changed,remove-aggregation}/compiled "$repo"
    save change
    TERM=xterm-256color script -qec "stty rows 50 cols 100; target/release/chronon-plan plan \
        --repo '$repo' --base main --as-of 2026-11-22" /dev/null |
        python3 docs/picture.py --width 100 --top 44 --bottom 2 \
            --title 'chronon-plan plan --base main' > docs/plan.svg
"""

import argparse
import re
import sys
from itertools import groupby
from xml.sax.saxutils import escape, quoteattr

FONT = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono','Liberation Mono',monospace"
SIZE = 13
COLUMN = 7.8  # the width of a character at SIZE; runs are fitted to it, whatever the font
LINE = 19
MARGIN = 16
BAR = 36

BACKGROUND, BAR_FILL, EDGE, TITLE = "#0d1117", "#161b22", "#30363d", "#8b949e"
PLAIN, DIM = "#c9d1d9", "#8b949e"
COLOURS = {31: "#ff7b72", 32: "#56d364", 33: "#e3b341"}
BUTTONS = ("#ff5f57", "#febc2e", "#28c840")

SGR = re.compile(r"\x1b\[([0-9;]*)m")
PLAIN_STYLE = (None, False, False)  # the colour's code, bold, dim


def changed(style, codes):
    """The style after the codes of one escape sequence; codes that are not known change nothing."""
    colour, bold, dim = style
    for code in (int(number or 0) for number in codes.split(";")):
        if code == 0:
            colour, bold, dim = PLAIN_STYLE
        elif code == 1:
            bold = True
        elif code == 2:
            dim = True
        elif code in COLOURS:
            colour = code
    return colour, bold, dim


def cells(text):
    """Each line as a list of (character, style)."""
    style, line = PLAIN_STYLE, []
    for index, part in enumerate(SGR.split(text.replace("\r", ""))):
        if index % 2:
            style = changed(style, part)
            continue
        for character in part:
            if character == "\n":
                yield line
                line = []
            else:
                line.append((character, style))
    if line:
        yield line


def wrapped(lines, width):
    """The lines as a terminal of that many columns shows them."""
    for line in lines:
        for start in range(0, max(len(line), 1), width):
            yield line[start : start + width]


def shortened(lines, top, bottom):
    """The first and the last lines, with an ellipsis in place of the others."""
    if top is None or len(lines) <= top + bottom + 1:
        return lines
    ellipsis = [("…", (None, False, True))]
    first, last = lines[:top], lines[len(lines) - bottom :]
    while first and not first[-1]:
        first.pop()
    while last and not last[0]:
        last.pop(0)
    return first + [[], ellipsis, []] + last


def runs(line):
    """(column, text, style) of what is drawn in one go.

    A symbol is a run of its own: it may come from another font, and must not push what follows.
    """

    def kind(item):
        column, (character, style) = item
        return style, None if character.isascii() else column

    for (style, _), group in groupby(enumerate(line), kind):
        items = list(group)
        text = "".join(character for _, (character, _) in items)
        if text.strip():
            blanks = len(text) - len(text.lstrip())
            yield items[0][0] + blanks, text.strip(), style


def number(value):
    return f"{value:.1f}".removesuffix(".0")


def svg(lines, width, title):
    across = width * COLUMN + 2 * MARGIN
    down = BAR + 2 * MARGIN + len(lines) * LINE
    size = f'width="{number(across)}" height="{number(down)}"'
    label = quoteattr(f"Terminal: {title}" if title else "Terminal")
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
        f'viewBox="0 0 {number(across)} {number(down)}" '
        f'role="img" aria-label={label} xml:space="preserve">'
    )
    yield "<style>"
    yield f"text {{ font: {SIZE}px {FONT}; fill: {PLAIN}; white-space: pre }}"
    for code, colour in COLOURS.items():
        yield f".c{code} {{ fill: {colour} }}"
    yield f".dim {{ fill: {DIM} }}"
    yield ".bold { font-weight: bold }"
    yield f".title {{ fill: {TITLE}; text-anchor: middle }}"
    yield "</style>"
    edge = f'x="0.5" y="0.5" width="{number(across - 1)}" height="{number(down - 1)}" rx="8"'
    yield f'<rect {edge} fill="{BACKGROUND}" stroke="{EDGE}"/>'
    corner = f"M1 {BAR} V8.5 a7.5 7.5 0 0 1 7.5 -7.5 H{number(across - 8.5)}"
    yield f'<path d="{corner} a7.5 7.5 0 0 1 7.5 7.5 V{BAR} Z" fill="{BAR_FILL}"/>'
    for index, colour in enumerate(BUTTONS):
        yield f'<circle cx="{20 + 20 * index}" cy="{BAR // 2}" r="6" fill="{colour}"/>'
    if title:
        middle = f'x="{number(across / 2)}" y="{BAR // 2 + 5}"'
        yield f'<text class="title" {middle}>{escape(title)}</text>'
    for row, line in enumerate(lines):
        y = BAR + MARGIN + row * LINE + SIZE
        for column, text, (colour, bold, dim) in runs(line):
            names = [f"c{colour}"] * (colour is not None) + ["dim"] * dim + ["bold"] * bold
            look = f' class="{" ".join(names)}"' if names else ""
            x = number(MARGIN + column * COLUMN)
            fit = ""
            if text.isascii() and len(text) > 1:
                length = number(len(text) * COLUMN)
                fit = f' textLength="{length}" lengthAdjust="spacingAndGlyphs"'
            yield f'<text{look} x="{x}" y="{y}"{fit}>{escape(text)}</text>'
    yield "</svg>"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--title", default="", help="what the title bar says")
    parser.add_argument("--width", type=int, default=100, metavar="COLS", help="its columns")
    parser.add_argument("--top", type=int, metavar="LINES", help="keep this many first lines")
    parser.add_argument(
        "--bottom", type=int, default=0, metavar="LINES", help="with --top, this many last ones too"
    )
    arguments = parser.parse_args()
    lines = list(cells(sys.stdin.buffer.read().decode()))
    lines = shortened(lines, arguments.top, arguments.bottom)
    lines = list(wrapped(lines, arguments.width))
    drawing = "\n".join(svg(lines, arguments.width, arguments.title))
    sys.stdout.buffer.write(f"{drawing}\n".encode())


if __name__ == "__main__":
    main()
