"""The website: built from the stored outputs, without data and TensorFlow, and looked at."""

import gzip
import re
import subprocess
import sys
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from tools import notebooks, pdf, repository

pytestmark = pytest.mark.slow
FOLDER = f"/{repository.address().rsplit('/', 1)[1]}"  # of the site on its host
BROWSER = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync")


class Page(HTMLParser):
    """What a page links to, its pictures and its anchors."""

    def __init__(self, text):
        super().__init__()
        self.links, self.images, self.ids = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids.add(attrs.get("id"))
        if tag == "a" and attrs.get("href"):
            self.links.append(attrs["href"])
        if tag == "img":
            self.images.append(attrs)


@pytest.fixture(scope="session")
def pages(site):
    return {
        path: Page(path.read_text())
        for path in sorted(site.rglob("*.html"))
        if "_static" not in path.parts and path != site / "index.html"  # which leads to intro.html
    }


def test_every_page_of_the_contents_is_there(site):
    for name in (
        "index",
        "intro",
        "references",
        *(f"chapters/{p.stem}" for p in notebooks.chapters()),
    ):
        assert (site / f"{name}.html").is_file()


def test_every_figure_has_its_alt_text(pages):
    for path, page in pages.items():
        for image in page.images:
            least = 40 if "/_images/" in image["src"] else 1  # figures, and logos of the theme
            assert len(image.get("alt") or "") >= least, (path.name, image)
    shown = [image["src"] for page in pages.values() for image in page.images]
    assert sum("/_images/" in source for source in shown) >= 9


def test_internal_links_lead_somewhere(site, pages):
    for path, page in pages.items():
        for link in page.links:
            target, anchor = urldefrag(unquote(link))
            if re.match(r"[a-z]+:|//", target):
                continue
            target = re.sub(f"^{FOLDER}/", f"{site}/", target)  # of 404.html
            found = (path.parent / target).resolve() if target else path
            assert found.exists(), (path.name, link)
            if anchor and found in pages:
                assert anchor in pages[found].ids, (path.name, link)


SMALL = """\
format: jb-book
root: intro
parts:
  - caption: Two pages
    chapters:
      - file: chapters/first-network
      - file: reference/evidence
"""


def test_a_second_build_is_as_the_first(book_copy):
    """Though Sphinx thinks that nothing was changed: what pages show stands in other files, too."""

    def built():
        command = [Path(sys.executable).parent / "jupyter-book", "build", ".", "--quiet"]
        subprocess.run(command, cwd=book_copy, check=True, capture_output=True)
        return {
            path.relative_to(site): path.read_bytes()
            for path in sorted(site.rglob("*"))
            if path.name in ("intro.html", "evidence.html", "site.css", "site.js")
        }

    site = book_copy / "_build" / "html"
    (book_copy / "_toc.yml").write_text(SMALL)
    first = built()
    assert len(first) == 4
    evidence = book_copy / "evidence" / "first-network.json"
    other, times = re.subn('"processor": "[^"]*"', '"processor": "Another"', evidence.read_text())
    assert times > 0
    evidence.write_text(other)
    second = built()
    assert [path.name for path in first if second[path] != first[path]] == ["evidence.html"]


def test_claims_are_certificates(site):
    for chapter in notebooks.chapters():
        html = (site / "chapters" / f"{chapter.stem}.html").read_text()
        assert html.count('<span class="claim-value">') >= 3
        assert not re.search(r"<pre>[^<]*✓ [^<|]*: ", html)


def test_formulas_are_drawn_without_a_script(site):
    html = (site / "chapters" / "first-network.html").read_text()
    assert html.count("<math") > 20
    assert not re.search(r"<script[^>]*mathjax", html, flags=re.I)
    assert not re.search(r"\$\$", re.sub(r"<script.*?</script>", "", html, flags=re.S))


def test_the_shown_source_is_the_source(site):
    html = (site / "chapters" / "first-network.html").read_text()
    text = re.sub(r"<[^>]+>", "", html)
    assert "def mlp(" in text
    assert "def fit_mlp(" in text


def test_the_pages_weigh_little(site, pages):
    for path in pages:
        html = path.read_text()
        asked = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="([^"#]+)"', html)
        asked = [urldefrag(unquote(a)).url.split("?")[0] for a in asked if a[:5] != "data:"]
        files = {(path.parent / a).resolve() for a in asked}
        files = {file for file in files if file.is_file() and file.suffix != ".html"}
        figures = {file for file in files if "_images" in file.parts}
        bare = sum(len(gzip.compress(f.read_bytes())) for f in {path} | (files - figures))
        assert bare <= 300_000, (path.name, bare)
        assert bare + sum(f.stat().st_size for f in figures) <= 1_500_000, path.name


def test_no_page_asks_another_host(site, pages):
    """Links may lead elsewhere. What a page loads by itself may not."""
    for path in [*pages, *(site / "_static").glob("site.*")]:
        text = path.read_text()
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]*src="(?:https?:)?//[^"]*"', text)
        loaded += re.findall(r'<link[^>]*rel="(?!canonical)[^>]*href="(?:https?:)?//[^"]*"', text)
        loaded += re.findall(r"url\(\s*[\"']?(?:https?:)?//[^)]*\)|@import[^;]*", text)
        assert not loaded, (path.name, loaded)
        assert "unpkg" not in text, path.name


def test_what_search_engines_and_previews_read(site, pages):
    owner = repository.address().split("/")[-2]
    address = f"https://{owner}.github.io{FOLDER}/"
    sitemap = (site / "sitemap.xml").read_text()
    for path in pages:
        name = path.relative_to(site).as_posix()
        if name in ("index.html", "404.html", "search.html", "genindex.html"):
            continue
        html = path.read_text()
        assert f"<loc>{address}{name}</loc>" in sitemap
        assert f'<link rel="canonical" href="{address}{name}" />' in html
        for wanted in ('name="description" content="', 'property="og:image" content="https://'):
            assert wanted in html, name
    lost = (site / "404.html").read_text()
    links = re.findall(r'(?:src|href)="((?!https?:|#|data:)[^"]+)"', lost)
    assert links
    assert [link for link in links if not link.startswith(f"{FOLDER}/")] == []


@contextmanager
def browser(chromium, **settings):
    """A new context in a Chromium of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=[*BROWSER, *QUIET])
        yield launched.new_context(**settings)
        launched.close()


LAID_OUT = (  # as if scrolled to, and as if what moves had arrived
    ".bd-article section { content-visibility: visible !important; }"
    "* { transition: none !important; }"
)
LOOK = """() => {
    const article = document.querySelector("article") || document.body;
    const wide = document.documentElement.scrollWidth > innerWidth;
    const distorted = [...article.querySelectorAll("img")].filter(image => {
        const box = image.getBoundingClientRect();
        return image.complete && image.naturalWidth && (
            Math.abs(image.width / image.height * image.naturalHeight / image.naturalWidth - 1) > 0.02
            || box.width > image.closest("div").clientWidth + 1);
    }).map(image => `${image.alt}: ${image.width} by ${image.height}`);
    const shown = element => element.checkVisibility({visibilityProperty: true, opacityProperty: true});
    const clipped = [...article.querySelectorAll("p, li, h1, h2, h3, td, th, summary, .claim-text")]
        .filter(e => shown(e) && getComputedStyle(e).overflowX === "hidden"
            && e.scrollWidth > e.clientWidth + 1).map(e => e.textContent.slice(0, 60));
    const boxes = [];
    for (const e of article.querySelectorAll("h1, h2, h3, h4, p, pre, summary, figure, img, table")) {
        if (!shown(e) || e.closest("svg, math, .onlyprint, .visually-hidden")) continue;
        const box = e.getBoundingClientRect();
        if (box.width > 1 && box.height > 1) boxes.push([e, box]);
    }
    const overlapping = [];
    boxes.forEach(([e, a], i) => {
        for (const [f, b] of boxes.slice(i + 1, i + 12)) {
            if (e.contains(f) || f.contains(e)) continue;
            const x = Math.min(a.right, b.right) - Math.max(a.left, b.left);
            const y = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
            if (x > 2 && y > 2) overlapping.push([e.outerHTML.slice(0, 80), f.outerHTML.slice(0, 80)]);
        }
    });
    return {wide, distorted, clipped, overlapping};
}"""


LEFT = "net::ERR_ABORTED"
"""What a request for a page's icon ends with, if the next page is opened before it is answered."""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_in_a_browser(site, pages, chromium, theme):
    """From a disk: nothing is missing, wrong, too wide, clipped or on top of something else."""
    said, wrong = [], {}
    with browser(chromium, color_scheme=theme) as context:
        page = context.new_page()
        page.on("console", lambda m: m.type in ("error", "warning") and said.append(m.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("requestfailed", lambda r: r.failure != LEFT and said.append(f"failed: {r.url}"))
        page.on("request", lambda r: r.url.startswith("http") and said.append(f"asked: {r.url}"))
        for path in pages:
            if path.name == "404.html":  # its links are those of the site's address
                continue
            page.goto(path.as_uri())
            page.add_style_tag(content=LAID_OUT)
            assert page.evaluate("document.documentElement.dataset.theme") == theme
            for width in (1280, 390):
                page.set_viewport_size({"width": width, "height": 900})
                found = {what: where for what, where in page.evaluate(LOOK).items() if where}
                if found or said:
                    wrong[path.name, width] = {**found, "said": said.copy()}
                    said.clear()
    assert not wrong


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        ("wide", "p.style.width = '3000px'"),
        ("distorted", "image.style.setProperty('height', '50px', 'important')"),
        ("clipped", "Object.assign(p.style, {overflowX: 'hidden', whiteSpace: 'nowrap'})"),
        ("overlapping", "p.style.marginTop = '-40px'"),
    ],
)
def test_the_look_finds(found, fault, site, chromium):
    with browser(chromium, viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.goto((site / "chapters" / "first-network.html").as_uri())
        page.add_style_tag(content=LAID_OUT)
        page.locator("article img").first.scroll_into_view_if_needed()
        page.wait_for_function("document.querySelector('article img').complete")
        assert not any(page.evaluate(LOOK).values())
        page.evaluate(f"""() => {{
            const p = document.querySelectorAll("article section section > p")[1];
            const image = document.querySelector("article img");
            {fault};
        }}""")
        assert [what for what, where in page.evaluate(LOOK).items() if where] == [found]


def test_the_search_works_from_a_disk(site, chromium):
    said = []
    with browser(chromium) as context:
        page = context.new_page()
        page.on("console", lambda m: m.type in ("error", "warning") and said.append(m.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto((site / "chapters" / "recipe.html").as_uri())
        page.keyboard.press("Control+k")
        page.keyboard.type("snapshots")
        page.keyboard.press("Enter")
        page.wait_for_selector("ul.search li a")
        found = page.locator("ul.search li a").all_inner_texts()
        assert any("Warm restarts" in title for title in found), found
    assert not said


ONE_OF_EACH = """() => {
    const seen = {};
    for (const token of document.querySelectorAll("pre span[class]")) {
        const place = [token, token.parentElement, token.closest("div")].map(e => e.className);
        seen[place] = (seen[place] || 0) + 1;
        if (seen[place] > 3) token.replaceWith(...token.childNodes);
    }
    document.normalize();
}"""
"""Code has thousands of words in a few colours, and axe would look at the background of each."""
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_accessibility(site, pages, address, from_npm, chromium, *, width, theme):
    axe = (from_npm / "axe-core" / "axe.min.js").read_text()
    viewport = {"width": width, "height": 900}
    found = []
    with browser(chromium, viewport=viewport, color_scheme=theme) as context:
        page = context.new_page()
        for path in pages:
            page.goto(f"{address}/{path.relative_to(site).as_posix()}")
            page.add_style_tag(content=LAID_OUT)
            page.evaluate(ONE_OF_EACH)
            page.evaluate(axe)
            page.evaluate("new Promise(resolve => requestIdleCallback(resolve))")  # tab stops
            result = page.evaluate(
                f"axe.run(document, {{runOnly: {WCAG}, resultTypes: ['violations']}})"
            )
            found += [
                (path.name, v["id"], node["html"][:100])
                for v in result["violations"]
                for node in v["nodes"]
            ]
    assert not found


def test_the_keyboard_reaches_everything(site, chromium):
    with browser(chromium, viewport={"width": 1280, "height": 900}) as context:
        page = context.new_page()
        page.goto((site / "chapters" / "first-network.html").as_uri())
        wanted = page.evaluate(
            """() => [...document.querySelectorAll("a[href], button, summary, [tabindex='0']")]
                .filter(e => e.checkVisibility({visibilityProperty: true, opacityProperty: true})
                    && !e.closest("dialog") && e.tabIndex >= 0)
                .map((e, i) => e.dataset.number = String(i))"""
        )
        reached, unseen = set(), []
        for _ in range(2 * len(wanted)):  # what scrolls is a stop, too
            page.keyboard.press("Tab")
            number, outline = page.evaluate(
                """() => { const e = document.activeElement, s = getComputedStyle(e);
                    return [e.dataset.number, s.outlineStyle + s.boxShadow]; }"""
            )
            reached.add(number)
            if set(wanted) <= reached:
                break
            if outline == "nonenone":
                unseen.append(page.evaluate("document.activeElement.outerHTML.slice(0, 100)"))
        assert set(wanted) <= reached
        assert not unseen
        page.locator("summary").first.focus()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.parentElement.open")


def test_who_asks_for_little_motion_gets_none(site, chromium):
    with browser(chromium, reduced_motion="reduce") as context:
        page = context.new_page()
        for name in ("intro", "chapters/first-network", "chapters/taylor-gradient-descent"):
            page.goto((site / f"{name}.html").as_uri())
            moving = page.evaluate(
                """() => [...document.querySelectorAll("*")].filter(e => {
                    const s = getComputedStyle(e);
                    return parseFloat(s.transitionDuration) > 0.01 || s.scrollBehavior === "smooth"
                        || (s.animationName !== "none" && s.animationPlayState === "running");
                }).map(e => e.outerHTML.slice(0, 80))"""
            )
            assert not moving, name


def number_of_pages(printed):
    return len(re.findall(rb"/Type /Page\b(?!s)", printed))


def test_the_cheat_sheet_prints_on_one_sheet(site, chromium):
    with browser(chromium) as context:
        page = context.new_page()
        page.goto((site / "reference" / "cheat-sheet.html").as_uri(), wait_until="load")
        assert number_of_pages(page.pdf(prefer_css_page_size=True, format="A4")) == 1


def test_the_pages_together_lead_to_each_other(site):
    names = pdf.pages()
    assert names[0] == "intro"
    assert {f"chapters/{path.stem}" for path in notebooks.chapters()} < set(names)
    together = pdf.together(site, names)
    page = Page(together)
    inner = [link.removeprefix("#") for link in page.links if link.startswith("#")]
    assert len(inner) > 500
    assert set(inner) <= page.ids
    assert all(link.startswith(("#", "https://", "http://", "mailto:")) for link in page.links)
    for image in page.images:
        assert image["src"].startswith("data:") or (site / image["src"]).is_file()
        assert "loading" not in image
    assert together.count("<details") == len(re.findall("<details[^>]* open=", together))
    ids = re.findall(r' id="([^"]+)"', re.sub("<svg.*?</svg>", "", together, flags=re.S))
    assert len(ids) == len(set(ids))


def test_the_book_is_printed(site, chromium, tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "pages", lambda: ["intro", "reference/symptoms"])
    target = tmp_path / "book.pdf"
    pdf.print_book(site, target, chromium)
    assert 4 <= number_of_pages(target.read_bytes()) <= 60
    assert b"/Outlines" in target.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["book.pdf"]
    assert not (site / "print.html").exists()
