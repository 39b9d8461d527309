"""Sphinx extension: what the theme's pages have too much of goes, and what they lack comes.

At the end of the build each page is read once more. Scripts that ask other hosts, or that no page
needs, are left out; the icons that a script of 1.5 MB would draw become drawings in the page; what
lies below the first screen is loaded when it is scrolled to; controls are named by what they show.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import tinycss2

__all__ = ["icons_of", "tidy"]

UNUSED = re.compile(
    r"""<script[^>]*fontawesome\.js[^>]*></script>
    | <script[^>]*(?:sphinx-thebe|design-tabs|togglebutton)\.js[^>]*></script>
    | <link[^>]*(?:sphinx-thebe|sphinx-design\.min|togglebutton)\.css[^>]*/?>
    | <script>(?:const\ THEBE_JS_URL|let\ toggle|var\ togglebutton|kernelName)[^<]*</script>
    | <script\ type="text/x-thebe-config">.*?</script>
    | <div\ id="ethical-ad-placement".*?</div>
    | <meta\ name="viewport"\ content="width=device-width,\ initial-scale=1"\s*/>
    """,
    re.DOTALL | re.VERBOSE,
)
ICON = re.compile(r'<(i|span) class="([^"]*\bfa-[a-z][^"]*)"([^>]*)></\1>')
DRAWING = re.compile(
    r'["{,]"?([a-z][a-z0-9-]*)"?:\[(\d+),(\d+),\[([^\]]*)\],"[0-9a-f]+","([^"]+)"\]'
)
FIGURE = re.compile(
    r'(<img [^>]*src="[^"]*_images/[^>]*?) style="width: (\d+)px; height: (\d+)px;"'
)
BESIDE_FORMULA = re.compile(r"(?<=</math>)(?=[,.;:)?!])|(?<=\()(?=<math)")
MISNAMED = re.compile(  # a label that hides the words that are shown
    r'(?P<tag><button class="btn search-button-field[^>]*?|<summary) aria-label="[^"]*"'
)
OPTIONS = re.compile(r"<script[^>]*documentation_options\.js[^>]*></script>")
NO_SUMMARIES = (  # a page from a disk may not read others to quote them
    'if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;'
)
AT_ONCE = (  # the theme measures all that may scroll before it lets the reader scroll
    "e=>{e.tabIndex=e.scrollWidth>e.clientWidth||e.scrollHeight>e.clientHeight?0:-1}"
)
WHEN_IDLE = f"e=>(window.requestIdleCallback||setTimeout)(()=>({AT_ONCE})(e))"
BUNDLES = ("site.css", "site.js")  # which a page has that an earlier build left behind
FOR_SEARCH = ("searchtools.js", "language_data.js")
NO_NAME = {"fa-solid", "fa-regular", "fa-brands", "fa-lg"}


def icons_of(script: str) -> dict[str, str]:
    """Return the drawings in Font Awesome's script, by name, as SVG.

    Args:
        script: the text of fontawesome.js; of an icon that it has as outline and filled, the filled
            one comes last and is taken.
    """
    found = {}
    for name, width, height, aliases, path in DRAWING.findall(script):
        drawing = (
            f'<svg aria-hidden="true" viewBox="0 0 {width} {height}">'
            f'<path fill="currentColor" d="{path}"/></svg>'
        )
        for known_as in (name, *re.findall(r'"([a-z][a-z0-9-]*)"', aliases)):
            found[known_as] = drawing
    return found


def tidy(html: str, icons: Mapping[str, str]) -> str:
    """Return a page without what it does not need, with its icons, and with figures that wait.

    Args:
        html: the page as the theme wrote it.
        icons: SVG by name, from `icons_of`.

    Raises:
        KeyError: the page has an icon that is not among them.
    """

    def drawn(match: re.Match[str]) -> str:
        tag, classes, rest = match.groups()
        (name,) = (c for c in classes.split() if c.startswith("fa-") and c not in NO_NAME)
        others = [c for c in classes.split() if not c.startswith("fa")]
        size = ["icon-large"] if "fa-lg" in classes else []
        drawing = icons[name.removeprefix("fa-")]
        return f'<{tag} class="{" ".join(["icon", *size, *others])}"{rest}>{drawing}</{tag}>'

    html = ICON.sub(drawn, UNUSED.sub("", html))
    html = FIGURE.sub(r'\1 width="\2" height="\3" loading="lazy" decoding="async"', html)
    html = MISNAMED.sub(r"\g<tag>", html)
    html = html.replace(
        '<summary><span class="toctree-toggle"',
        '<summary aria-label="Pages of this section"><span class="toctree-toggle"',
    )
    html = BESIDE_FORMULA.sub("&#8288;", html)  # no line ends between a formula and its comma
    return html.replace('role="doc-biblioentry"', 'role="listitem"')


def bundle(html: str, prefix: str) -> tuple[str, list[str], list[str]]:
    """Return a page that asks for one style sheet and one script, and those they stand for.

    Args:
        html: the page.
        prefix: how the page reaches the site's root, such as "../".

    Returns:
        The page, and the style sheets and scripts, relative to `_static`, in their order.
    """
    local = re.escape(f"{prefix}_static/")
    sheet = re.compile(rf'<link[^>]*href="{local}([^"?]+\.css)[^>]*>\s*')
    script = re.compile(rf'<script[^>]*src="{local}([^"?]+\.js)[^>]*></script>\s*')
    sheets, scripts = sheet.findall(html), script.findall(html)
    html = re.sub(rf'<link rel="preload"[^>]*href="{local}[^>]*>\s*', "", html)
    html = re.sub(
        rf'<script[^>]*src="{re.escape(prefix)}searchindex.js[^>]*></script>\s*', "", html
    )
    html = script.sub("", sheet.sub("", html))
    one = (
        f'<link rel="stylesheet" href="{prefix}_static/site.css"/>\n'
        f'<script defer src="{prefix}_static/site.js"></script>\n'
    )
    return html.replace("</head>", f"{one}</head>", 1), sheets, scripts


def purge(css: str, words: Set[str]) -> str:
    """Return a style sheet without the rules for classes and ids that do not occur.

    Args:
        css: the style sheet.
        words: all that may be the name of a class or an id on the site.
    """
    return "".join(_kept(tinycss2.parse_stylesheet(css, True, True), words))


def _kept(rules: Iterable[Any], words: Set[str]) -> Iterator[str]:
    for rule in rules:
        if rule.type == "qualified-rule":
            selectors = [s for s in _split(rule.prelude) if _names(s) <= words]
            if selectors:
                prelude = ",".join(tinycss2.serialize(s).strip() for s in selectors)
                body = re.sub(r"\s+", " ", tinycss2.serialize(rule.content)).strip()
                yield f"{prelude}{{{body}}}\n"
        elif rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports", "layer"):
            inner = tinycss2.parse_rule_list(rule.content or [], True, True)
            if kept := "".join(_kept(inner, words)):
                yield f"@{rule.at_keyword}{tinycss2.serialize(rule.prelude)}{{{kept}}}\n"
        elif rule.type == "at-rule" and rule.lower_at_keyword != "charset":
            text = rule.serialize()
            if rule.lower_at_keyword != "font-face" or "../" not in text:  # that of the icons
                yield f"{text}\n"


def _split(prelude: Iterable[Any]) -> list[list[Any]]:
    """The selectors of a list of selectors."""
    selectors: list[list[Any]] = [[]]
    for token in prelude:
        if token == ",":
            selectors.append([])
        elif token.type != "comment":
            selectors[-1].append(token)
    return selectors


def _names(selector: list[Any]) -> set[str]:
    """The classes and ids that an element must have; those within :not() and :is() are not."""
    names = {token.value for token in selector if token.type == "hash"}
    for before, token in pairwise(selector):
        if before == "." and token.type == "ident":
            names.add(token.value)
    return names


def _with_imports(css: str, static: Path) -> str:
    """A style sheet with those that it imports in place."""
    return re.sub(
        r'@import "\.\./([\w-]+\.css)";',
        lambda match: (static / match[1]).read_text(encoding="utf-8"),
        css,
    )


def _finish(app: Any, error: Exception | None) -> None:
    """Tidy every page that was written, and give all of them one style sheet and one script."""
    if error or app.builder.format != "html":
        return
    site = Path(app.outdir)
    static = site / "_static"
    icons = icons_of((static / "scripts" / "fontawesome.js").read_text(encoding="utf-8"))
    options = (static / "documentation_options.js").read_text(encoding="utf-8") + NO_SUMMARIES
    words: set[str] = set()
    sheets: dict[str, None] = {}
    scripts: dict[str, None] = {}
    for path in sorted(site.rglob("*.html")):
        if "_static" in path.parts:
            continue
        page = OPTIONS.sub(
            lambda _: f"<script>{options}</script>", path.read_text(encoding="utf-8")
        )
        page = tidy(page, icons)
        prefix = "../" * (len(path.relative_to(site).parts) - 1)
        if path.name == "404.html":  # shown at any address
            prefix = app.config.notfound_urls_prefix
        if path.name != "search.html":
            page, its_sheets, its_scripts = bundle(page, prefix)
            sheets |= dict.fromkeys(name for name in its_sheets if name not in BUNDLES)
            scripts |= dict.fromkeys(
                name for name in its_scripts if name not in (*BUNDLES, *FOR_SEARCH)
            )
        path.write_text(page, encoding="utf-8")
        words |= set(re.findall(r"[\w-]+", page))
    text = {name: (static / name).read_text(encoding="utf-8") for name in (*sheets, *scripts)}
    words |= {word for name in scripts for word in re.findall(r"[\w-]+", text[name])}
    css = "".join(purge(_with_imports(text[name], static), words) for name in sheets)
    (static / "site.css").write_text(css, encoding="utf-8")
    script = "".join(f";{text[name]}\n" for name in scripts)
    assert AT_ONCE in script, "the theme measures in another way: see AT_ONCE"
    (static / "site.js").write_text(script.replace(AT_ONCE, WHEN_IDLE), encoding="utf-8")


FIGURE_OF = re.compile(r"<!-- figure: ([\w-]+) (\d+) -->")


def figure_of(chapter: Path, number: int) -> str:
    """Return a figure of a chapter as HTML, with its alt text.

    Args:
        chapter: the notebook, with its outputs.
        number: of the figure in the chapter, from 1.
    """
    cells = json.loads(chapter.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    figures = [output for output in outputs if "image/png" in output.get("data", {})]
    figure = figures[number - 1]
    alt = escape(figure["metadata"]["image/png"]["alt"], quote=True)
    png = "".join(figure["data"]["image/png"].split())
    return f'<img alt="{alt}" src="data:image/png;base64,{png}"/>'


def _read(app: Any, name: str, source: list[str]) -> None:  # noqa: ARG001
    source[0] = FIGURE_OF.sub(
        lambda match: figure_of(Path(app.srcdir) / f"chapters/{match[1]}.ipynb", int(match[2])),
        source[0],
    ).replace("(site:", f"({app.config.html_baseurl}")


def _outdated(app: Any, env: Any, *_: Any) -> list[str]:  # noqa: ARG001
    """Every page, in every build: what they show stands in files that Sphinx knows nothing of.

    And what `_finish` makes of all pages together, it can make of pages of one build only.
    """
    return sorted(env.found_docs)


def _address(app: Any, config: Any) -> None:  # noqa: ARG001
    """Tell the extensions where the site will stand: GitHub's pages of its repository.

    Its own addresses are not asked whether they answer: the next deployment makes them.
    """
    owner, name = config.html_theme_options["repository_url"].rsplit("/", 2)[1:]
    config.html_baseurl = config.ogp_site_url = f"https://{owner}.github.io/{name}/"
    config.notfound_urls_prefix = f"/{name}/"
    config.linkcheck_ignore = [*config.linkcheck_ignore, f"{re.escape(config.html_baseurl)}.*"]


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("source-read", _read)
    app.connect("env-get-outdated", _outdated)
    app.connect("config-inited", _address, priority=100)
    app.connect("build-finished", _finish, priority=900)  # after the theme wrote its colours
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
