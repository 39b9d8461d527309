"""The book as one PDF, printed by Chromium from the built website.

python -m tools.pdf     writes _build/html/learning-rates-in-practice.pdf
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from posixpath import dirname, join, normpath
from typing import Any
from urllib.parse import urldefrag

import yaml
from bs4 import BeautifulSoup

from tools import ROOT

__all__ = ["browser", "pages", "print_book", "together"]

NAME = "learning-rates-in-practice.pdf"
NOT_PRINTED = "a.headerlink, button, script, .toctree-wrapper, .prev-next-area, .onlyprint"
FOOT = (
    '<div style="width: 100%; text-align: center; font: 8pt sans-serif; color: #555">'
    '<span class="pageNumber"></span></div>'
)
SHEET = """<style>
@page { size: A4; margin: 17mm 16mm 18mm; }
html { font-size: 9pt; line-height: 1.45; }
body { background: white; }
section.page { break-before: page; }
section.page:first-of-type { break-before: auto; }
.page .sheet::before { display: none; }
pre { font-size: 7.2pt; line-height: 1.3; white-space: pre-wrap; }
div.cell_output img { max-height: 95mm; width: auto; }
h2 { font-size: 1.6em; }
h3 { font-size: 1.3em; }
h1, h2, h3, summary { break-after: avoid; }
img, figure, svg, blockquote, tr { break-inside: avoid; }
</style>"""


def pages(root: Path = ROOT) -> list[str]:
    """Return the pages of the book in their order, without the reference of the package."""
    contents = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    chapters = [chapter["file"] for part in contents["parts"] for chapter in part["chapters"]]
    return [contents["root"], *chapters]


def together(site: Path, names: Sequence[str]) -> str:
    """Return one page that holds pages of the website, whose links lead to each other within it.

    Args:
        site: the built website.
        names: of the pages, such as "chapters/recipe"; links to others lead to the web.

    Raises:
        FileNotFoundError: the website lacks a page.
    """
    sections = []
    for name in names:
        page = BeautifulSoup((site / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
        (article,) = page.select("article.bd-article")
        (canonical,) = page.select("link[rel=canonical]")
        address = str(canonical["href"]).removesuffix(f"{name}.html")
        for part in article.select(NOT_PRINTED):
            part.decompose()
        _lead_within(article, name, names, address)
        article.name = "section"
        article["class"] = "page bd-article"
        article["id"] = _anchor(name)
        sections.append(str(article))
    head = '<link rel="stylesheet" href="_static/site.css"/>'
    return (
        f'<!DOCTYPE html><html lang="en" data-theme="light"><head><meta charset="utf-8"/>'
        f"<title>Learning Rates in Practice</title>{head}{SHEET}</head>"
        f"<body><main>{''.join(sections)}</main></body></html>"
    )


def _anchor(name: str, fragment: str = "") -> str:
    return f"{name.replace('/', '-')}--{fragment}"


def _lead_within(article: Any, name: str, names: Sequence[str], address: str) -> None:
    """Let what an article points to be found from the page that holds all articles."""
    for node in article.select("[id]"):
        if not node.find_parent("svg"):
            node["id"] = _anchor(name, node["id"])
    for node in article.select("[src]"):
        if not node["src"].startswith("data:"):
            node["src"] = normpath(join(dirname(name), node["src"]))
        del node["loading"]
    for node in article.select("a[href]"):
        if ":" in node["href"].split("/")[0]:
            continue
        path, fragment = urldefrag(node["href"])
        target = normpath(join(dirname(name), path)) if path else f"{name}.html"
        if target.removesuffix(".html") in names:
            node["href"] = f"#{_anchor(target.removesuffix('.html'), fragment)}"
        else:
            node["href"] = f"{address}{target}{'#' * bool(fragment)}{fragment}"
    for node in article.select("details"):
        node["open"] = ""


def browser() -> str | None:
    """Return the path of a Chromium or Chrome, if there is one."""
    on_a_mac = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
    names = ("chromium", "chromium-browser", "google-chrome", "chrome", on_a_mac)
    return next(filter(None, map(shutil.which, names)), None)


def print_book(site: Path, target: Path, executable: str) -> None:
    """Print the built website into a PDF, with an outline and links.

    Args:
        site: the built website.
        target: the file to write.
        executable: a Chromium.
    """
    from playwright.sync_api import sync_playwright

    whole = site / "print.html"
    part = target.with_suffix(".part")
    try:
        whole.write_text(together(site, pages()), encoding="utf-8")
        with sync_playwright() as playwright:
            launched = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
            page = launched.new_page()
            page.goto(whole.as_uri(), wait_until="load")
            page.pdf(
                path=part,
                prefer_css_page_size=True,
                print_background=True,
                display_header_footer=True,
                header_template="<span></span>",
                footer_template=FOOT,
                outline=True,
                tagged=True,
            )
            launched.close()
        part.replace(target)
    finally:
        whole.unlink(missing_ok=True)
        part.unlink(missing_ok=True)


def _main() -> int:
    site = ROOT / "_build" / "html"
    if not (site / "intro.html").is_file():
        print("the website is not built; run: make book", file=sys.stderr)
        return 1
    if (executable := browser()) is None:
        print("needs Chromium: apt-get install chromium", file=sys.stderr)
        return 1
    print_book(site, site / NAME, executable)
    print(f"The book is printed: {site / NAME}")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
