"""The website: built from the stored outputs, without data and TensorFlow, and looked at."""

import os
import re
import subprocess
import sys
import time
from html.parser import HTMLParser
from urllib.parse import unquote, urldefrag

import pytest

from tools import ROOT, notebooks

pytestmark = pytest.mark.slow
NO_TENSORFLOW = "import sys; sys.modules['tensorflow'] = sys.modules['keras'] = None; "
BROWSER = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run")
QUIET = ("--disable-background-networking", "--disable-component-update", "--disable-sync")


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The built site's folder."""
    target = tmp_path_factory.mktemp("site")
    code = NO_TENSORFLOW + "from jupyter_book.cli.main import main; main()"
    command = [
        sys.executable,
        "-c",
        code,
        "build",
        str(ROOT),
        "-nW",
        "--keep-going",
        "--path-output",
        str(target),
    ]
    nowhere = {**os.environ, "FASHION_MNIST_DIR": str(target / "nowhere")}
    start = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=nowhere, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert time.perf_counter() - start < 60
    return target / "_build" / "html"


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
        path: Page(path.read_text()) for path in site.rglob("*.html") if "_static" not in path.parts
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
            found = (path.parent / target).resolve() if target else path
            assert found.exists(), (path.name, link)
            if anchor and found in pages:
                assert anchor in pages[found].ids, (path.name, link)


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


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_in_a_browser(site, chromium, width, theme):
    from playwright.sync_api import sync_playwright

    names = ["intro", *(f"chapters/{path.stem}" for path in notebooks.chapters())]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*BROWSER, *QUIET])
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=theme)
        page.route(re.compile("^https?://"), lambda route: route.abort())
        for name in names:
            page.goto(f"file://{site}/{name}.html")
            page.evaluate("theme => document.documentElement.dataset.theme = theme", theme)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, name
            distorted = page.evaluate(
                """[...document.querySelectorAll(".cell_output img")].filter(image =>
                     Math.abs(image.width / image.height - image.naturalWidth / image.naturalHeight) > 0.02
                     || image.width > image.closest(".cell_output").clientWidth + 1).length"""
            )
            assert distorted == 0, name
        browser.close()
