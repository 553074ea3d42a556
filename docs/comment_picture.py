#!/usr/bin/env python3
"""Draw a comment of a pull request as GitHub shows it, for the README.

Takes a Markdown file, renders it as GitHub-flavoured Markdown in GitHub's light style, and takes a
picture of its top with a headless Chromium:

    python3 docs/comment_picture.py fixtures/comments/policy.md docs/comment.png

Needs Node with npm, which fetches the renderer and the style into a temporary folder, and Chromium
with the fonts DejaVu and Noto Color Emoji. Diagrams are not drawn: the picture ends above them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = ("markdown-it@14.1.0", "markdown-it-github-alerts@1.0.0", "github-markdown-css@5.8.1")

RENDER = """
import { readFileSync } from 'node:fs';
import MarkdownIt from 'markdown-it';
import alerts from 'markdown-it-github-alerts';
const markdown = new MarkdownIt({ html: true }).use(alerts);
process.stdout.write(markdown.render(readFileSync(0, 'utf8')));
"""

# The frame of a comment: a box with a bar that says who wrote it.
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><style>
{style}
body {{ margin: 0; padding: 16px; background: #fff; }}
.box {{ border: 1px solid #d0d7de; border-radius: 6px; overflow: hidden; }}
.bar {{ padding: 8px 16px; background: #f6f8fa; border-bottom: 1px solid #d0d7de;
  font: 14px {font}; color: #59636e; }}
.bar b {{ color: #1f2328; }}
.bar span {{ border: 1px solid #d0d7de; border-radius: 2em; padding: 0 7px; font-size: 12px; }}
.markdown-body {{ padding: 16px; font-family: {font}; font-size: 14px; }}
.markdown-body code {{ font-family: 'DejaVu Sans Mono', monospace; font-size: 82%; }}
</style></head><body><div class="box">
<div class="bar"><b>github-actions</b> <span>bot</span> commented</div>
<div class="markdown-body">{body}</div></div></body></html>
"""

FONT = "-apple-system, 'Segoe UI', 'Liberation Sans', 'DejaVu Sans', 'Noto Color Emoji', sans-serif"

CHROMIUM = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
)


def run(command, folder, text=None):
    """What a command prints; where it fails, its complaints end the program."""
    done = subprocess.run(command, cwd=folder, input=text, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{command[0]} failed:\n{done.stderr}")
    return done.stdout


def rendered(markdown, folder):
    """Markdown as HTML, and the styles that GitHub gives it."""
    (folder / "package.json").write_text(json.dumps({"type": "module"}))
    (folder / "render.mjs").write_text(RENDER)
    run(("npm", "install", "--silent", "--no-audit", "--no-fund", *PACKAGES), folder)
    modules = folder / "node_modules"
    styles = [
        modules / "github-markdown-css/github-markdown-light.css",
        modules / "markdown-it-github-alerts/styles/github-colors-light.css",
        modules / "markdown-it-github-alerts/styles/github-base.css",
    ]
    style = "\n".join(path.read_text() for path in styles)
    return run(("node", "render.mjs"), folder, markdown), style


def photograph(page, picture, width, height, chromium, folder):
    """A picture of the top of a page."""
    file = folder / "page.html"
    file.write_text(page)
    profile = folder / "profile"
    profile.mkdir()
    size = f"--window-size={width},{height}"
    shot = f"--screenshot={os.path.abspath(picture)}"
    run((chromium, *CHROMIUM, f"--user-data-dir={profile}", size, shot, file.as_uri()), folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("comment", type=Path, help="the Markdown of a comment")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    parser.add_argument("--width", type=int, default=900, metavar="PX")
    parser.add_argument("--height", type=int, default=888, metavar="PX", help="how much of the top")
    parser.add_argument("--chromium", default="chromium", metavar="PROGRAM")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        body, style = rendered(arguments.comment.read_text(), folder)
        page = PAGE.format(style=style, body=body, font=FONT)
        size = (arguments.width, arguments.height)
        photograph(page, arguments.picture, *size, arguments.chromium, folder)


if __name__ == "__main__":
    main()
