"""tools.website, tools.api, tools.glossary: what they make of pages, style sheets, docstrings."""

import re

import pytest
from docutils.core import publish_doctree

from tools import ROOT, api, chapter_map, citation, glossary, notebooks, repository, website

SCRIPT = (
    '{"angle-left":[320,512,[8249],"f104","M1"],bars:[448,512,["navicon"],"f0c9","M2"],'
    'file:[384,512,[],"f15b","M3 outline"],file:[384,512,[],"f15b","M3 filled"]}'
)


def test_icons_are_found_by_name_and_alias_filled():
    icons = website.icons_of(SCRIPT)
    assert set(icons) == {"angle-left", "bars", "navicon", "file"}
    assert icons["navicon"] == icons["bars"]
    assert 'viewBox="0 0 448 512"' in icons["bars"]
    assert 'd="M3 filled"' in icons["file"]


def test_icons_become_drawings():
    icons = website.icons_of(SCRIPT)
    page = website.tidy('<i class="theme fa-solid fa-bars fa-lg" data-mode="dark"></i>', icons)
    assert page == f'<i class="icon icon-large theme" data-mode="dark">{icons["bars"]}</i>'
    with pytest.raises(KeyError):
        website.tidy('<i class="fa-solid fa-none"></i>', icons)


@pytest.mark.parametrize(
    "part",
    [
        '<script defer src="../_static/scripts/fontawesome.js?digest=1"></script>',
        '<script async="async" src="_static/sphinx-thebe.js?v=1"></script>',
        '<script>const THEBE_JS_URL = "https://unpkg.com/thebe"; const a = 1</script>',
        '<script type="text/x-thebe-config">\n{ a: 1 }\n</script>',
        "<script>kernelName = 'python3'</script>",
        '<link rel="stylesheet" type="text/css" href="_static/sphinx-design.min.css?v=1" />',
    ],
)
def test_what_no_page_needs_is_left_out(part):
    assert website.tidy(f"<p>before</p>{part}<p>after</p>", {}) == "<p>before</p><p>after</p>"


def test_figures_have_their_size_and_wait():
    image = '<img alt="A curve." src="../_images/1.png" style="width: 720px; height: 420px;" />'
    page = website.tidy(image, {})
    assert 'width="720" height="420" loading="lazy"' in page
    assert 'alt="A curve."' in page
    logo = '<img alt="Logo" src="../_static/logo.png">'
    assert website.tidy(logo, {}) == logo


def test_controls_are_named_by_what_they_show():
    summary = '<summary aria-label="Toggle hidden content"><p>Show the solution</p></summary>'
    assert website.tidy(summary, {}) == "<summary><p>Show the solution</p></summary>"


def test_a_page_asks_for_one_sheet_and_one_script():
    head = (
        '<head><link href="../_static/styles/theme.css?digest=1" rel="stylesheet" />\n'
        '<link rel="stylesheet" type="text/css" href="../_static/book.css?v=1" />\n'
        '<link rel="preload" as="script" href="../_static/scripts/a.js" />\n'
        '<script src="../_static/doctools.js?v=1"></script>\n'
        '<script defer src="../_static/scripts/a.js"></script>\n'
        '<script src="../searchindex.js"></script></head>'
    )
    page, sheets, scripts = website.bundle(head, "../")
    assert sheets == ["styles/theme.css", "book.css"]
    assert scripts == ["doctools.js", "scripts/a.js"]
    assert re.findall(r'(?:src|href)="([^"]+)"', page) == [
        "../_static/site.css",
        "../_static/site.js",
    ]
    assert website.bundle(page, "../")[1:] == (["site.css"], ["site.js"])


def test_a_style_sheet_keeps_the_rules_that_may_apply():
    css = """
        p, .seen, .unseen { color: red }
        .unseen { color: blue }
        .seen > .unseen { color: green }
        .seen:not(.unseen) { color: teal }
        #unseen-either { color: navy }
        html[data-theme="dark"] .seen { color: white }
        @media print { .unseen { display: none } }
        @media (max-width: 10px) { .seen, .unseen { display: block } }
        @font-face { font-family: Icons; src: url("../vendor/icons.woff2") }
        @font-face { font-family: Signs; src: url("signs.woff2") }
        @keyframes turn { from { top: 0 } }
        @charset "UTF-8";
    """
    kept = website.purge(css, {"seen"})
    assert "p,.seen{" in kept
    assert ".seen:not(.unseen){" in kept
    assert 'html[data-theme="dark"] .seen{' in kept
    assert "@media (max-width: 10px) {.seen{display: block" in kept
    assert "@keyframes turn" in kept
    assert "Signs" in kept
    for gone in ("blue", "green", "navy", "print", "Icons", "UTF-8"):
        assert gone not in kept


@pytest.mark.parametrize(
    "name", sorted(p.stem for p in (ROOT / "helpers").glob("[!_]*.py")), ids=str
)
def test_every_module_has_its_page(name):
    assert (ROOT / "reference" / "api" / f"{name}.md").read_text().strip() == api.PLACE
    text = api.page(name, ROOT)
    assert text.startswith(f"# helpers.{name}\n")
    assert "griffe" not in text


def test_a_docstring_becomes_a_page():
    text = api.page("schedules", ROOT)
    assert "\n## CosineRestarts\n" in text
    assert "    growth=1.0,\n" in text
    assert "- `growth`: each cycle is so many times as long" in text
    assert ">>> schedule = InverseSquareRoot(0.1, warmup_steps=4)" in text
    assert "\n## keras" not in text
    assert "_check" not in text


def test_text_is_not_markup():
    assert api._escaped("a*b*c_d $x$ `code_*` <t>") == r"a\*b\*c\_d \$x\$ `code_*` \<t\>"


GLOSSARY = """\
# Glossary

## P

### peak
The *largest* rate. See [there](x.md).
first: one | peaks
first: two | the peak

### range test
A run with a rate that grows ($\\eta$).
first: one | range test
"""


def test_no_line_ends_between_a_formula_and_its_comma():
    page = website.tidy("(<math>x</math>), <math>y</math> z", {})
    assert page == "(&#8288;<math>x</math>&#8288;), <math>y</math> z"


def test_first_uses_are_read_by_chapter():
    found = glossary.uses(GLOSSARY)
    assert found["two"] == [("the peak", "peak", "The largest rate.")]
    assert [use.phrase for use in found["one"]] == ["peaks", "range test"]


def test_the_first_use_becomes_a_link_and_no_other():
    chapter = publish_doctree("Peaks\n=====\n\n``peaks`` of speaks: peaks and peaks.\n\nA test.")
    missing = glossary.link_first_uses(chapter, "g.html", glossary.uses(GLOSSARY)["one"])
    assert missing == ["range test"]
    (link,) = chapter.findall(lambda node: node.tagname == "reference")
    assert link.astext() == "peaks"
    assert link["refuri"] == "g.html#peak"
    assert link["reftitle"] == "The largest rate."
    assert chapter.astext().count("peaks of speaks: peaks and peaks.") == 1


def test_the_glossary_names_chapters_that_are_there():
    found = glossary.uses((ROOT / "reference" / "glossary.md").read_text())
    assert found.keys() == {path.stem for path in notebooks.chapters()}
    assert min(map(len, found.values())) >= 5  # that the words are there, the build checks


def test_what_follows_from_others_is_left_out():
    needed = {"a": set(), "b": {"a"}, "c": {"a", "b"}, "d": {"c", "a"}, "e": {"a"}}
    kept = chapter_map.reduced(needed)
    assert kept == {"a": set(), "b": {"a"}, "c": {"b"}, "d": {"c"}, "e": {"a"}}
    rows = chapter_map.layers(kept)
    assert [set(row) for row in rows] == [{"a"}, {"b", "e"}, {"c"}, {"d"}]


def test_an_arrow_over_several_rows_has_a_place_in_each():
    rows = chapter_map.layers({"a": set(), "b": {"a"}, "c": {"b"}, "d": {"c"}, "e": {"d", "a"}})
    assert [set(row) for row in rows] == [{"a"}, *({n, "a > e"} for n in "bcd"), {"e"}]


def test_the_map_has_a_link_and_its_arrows_for_each_chapter():
    found = chapter_map.needs(notebooks.chapters())
    needed = chapter_map.reduced({name: chapter.needed for name, chapter in found.items()})
    svg = chapter_map.draw(found)
    links = re.findall(r'<a href="chapters/([\w-]+)\.html">', svg)
    assert links == [path.stem for path in notebooks.chapters()]
    assert svg.count('<path d="M') == 1 + sum(map(len, needed.values()))
    assert found["range-finding"][:2] == ("How do I find a learning rate in a few seconds?", 40)
    assert ">40 min <" in svg


def test_the_table_of_the_chapters_gives_the_times_that_they_give():
    intro = (ROOT / "intro.md").read_text()
    rows = re.findall(r"\(chapters/([\w-]+)\.ipynb\).*\| (\d+) \| \d \|$", intro, flags=re.M)
    found = chapter_map.needs(notebooks.chapters())
    assert rows == [(name, str(chapter.minutes)) for name, chapter in found.items()]


def test_every_chapter_comes_after_those_that_it_needs():
    seen = set()
    for name, chapter in chapter_map.needs(notebooks.chapters()).items():
        assert chapter.needed <= seen, name
        seen.add(name)


def test_the_citation_says_what_the_file_says():
    box = citation.box((ROOT / "CITATION.cff").read_text())
    assert "version = {0.1.0}" in box
    assert "year    = {2026}" in box
    assert repository.address() in box
    assert box.count("{") == box.count("}")
