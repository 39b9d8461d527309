"""helpers.plots: functions that draw what they were given, and figures that say what they show."""

import base64
import io
import re

import IPython.display
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from helpers import plots, surfaces
from helpers.autodiff import Value, backward

ALT = "A line that rises from the lower left corner to the upper right corner."


@pytest.fixture(autouse=True)
def style():
    plt.close("all")
    with mpl.rc_context():
        mpl.use("agg")
        plots.house_style()
        yield
    plt.close("all")


@pytest.fixture
def shown(monkeypatch):
    calls = []
    monkeypatch.setattr(
        IPython.display, "display", lambda data, **options: calls.append((data, options))
    )
    return calls


def contrast(one, other):
    """The contrast ratio of WCAG 2.2."""

    def luminance(colour):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
            for c in mpl.colors.to_rgb(colour)
        ]
        return np.dot(linear, (0.2126, 0.7152, 0.0722)) + 0.05

    low, high = sorted((luminance(one), luminance(other)))
    return high / low


def test_show_publishes_a_crisp_small_picture_with_its_text(shown):
    fig, ax = plt.subplots(figsize=(6, 4))
    ax.plot([0, 1])
    plots.show(fig, alt=f"  {ALT}\n")
    ((data, options),) = shown
    picture = Image.open(io.BytesIO(base64.b64decode(data["image/png"])))
    assert picture.size == (1200, 800)
    assert options["metadata"]["image/png"] == {"width": 600, "height": 400, "alt": ALT}
    assert data["text/plain"] == ALT
    assert len(data["image/png"]) < 60_000
    assert not plt.get_fignums()


@pytest.mark.parametrize("alt", ["", "A figure", " " * 80])
def test_show_refuses_a_title_for_a_text(shown, alt):
    with pytest.raises(ValueError, match="in a sentence"):
        plots.show(plt.figure(), alt=alt)
    assert not shown
    assert not plt.get_fignums()


def test_colours_stand_out_and_lines_differ_without_them():
    assert len(set(plots.COLOURS)) == len(set(map(str, plots.DASHES))) == 6
    assert all(contrast(colour, plots.PAPER) >= 3 for colour in plots.COLOURS)
    assert contrast(plots.INK, plots.PAPER) >= 7


def test_mean_and_spread():
    _, ax = plt.subplots()
    values = np.array([[1, 2, 3], [1, 2, 9.0]])
    assert plots.mean_and_spread([1, 2], values, label="a", ax=ax, marker="o") is ax
    (line,) = ax.lines
    assert line.get_ydata().tolist() == [2, 4]
    assert line.get_label() == "a"
    (band,) = ax.collections
    bounds = band.get_paths()[0].get_extents()
    assert (bounds.y0, bounds.y1) == (1, 9)


def test_learning_curve_counts_epochs_from_one():
    _, ax = plt.subplots()
    assert plots.learning_curve([3, 2, 1], label="loss", ax=ax) is ax
    assert ax.lines[0].get_xdata().tolist() == [1, 2, 3]
    assert ax.get_xlabel() == "epoch"


def test_image_grid_draws_every_image_with_its_label():
    ax = plots.image_grid(np.zeros((7, 4, 4)), [f"label {i}" for i in range(7)], columns=3)
    assert len(ax.images) == 7
    assert [text.get_text() for text in ax.texts] == [f"label {i}" for i in range(7)]
    assert len({tuple(image.get_extent()) for image in ax.images}) == 7


def test_contours_draw_the_surface_over_its_window():
    _, ax = plt.subplots()
    assert plots.contours(surfaces.ravine(4), ax=ax, x=(-1, 3), y=(0, 2), levels=6) is ax
    assert (ax.get_xlim(), ax.get_ylim()) == ((-1, 3), (0, 2))
    (lines,) = ax.collections
    assert len(lines.levels) == 6
    assert lines.levels[-1] == pytest.approx(0.5 * (9 + 4 * 4))


def test_descent_path_draws_every_point():
    _, ax = plt.subplots()
    points = np.array([[1, 2], [3, 4], [5, 6.0]])
    assert plots.descent_path(points, label="way", ax=ax) is ax
    assert ax.lines[0].get_xydata().tolist() == points.tolist()
    assert ax.lines[0].get_label() == "way"


def test_decision_regions_draw_every_class_with_its_own_marker():
    x = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    ax = plots.decision_regions(
        lambda p: (p[:, 0] > 0).astype(int), x, [0, 1, 2], ax=plt.figure().gca()
    )
    assert len({line.get_marker() for line in ax.lines}) == 3
    assert ax.get_xlim() == ax.get_ylim() == pytest.approx((-2.2, 2.2))
    boundary = np.concatenate([path.vertices for c in ax.collections for path in c.get_paths()])
    assert np.abs(boundary[:, 0]).max() < 0.02  # the line x_1 = 0, to within the grid


def graph_of(value):
    ax = plots.computation_graph(backward(value), ax=plt.figure().gca())
    texts = {}
    for text in ax.texts:
        texts.setdefault(text.get_text(), []).append(text)
    return texts


def test_a_graph_shows_values_and_derivatives():
    x, y, z = Value(-2.0, "x"), Value(5.0, "y"), Value(-4.0, "z")
    texts = graph_of((x + y) * z)
    assert {"x", "y", "z", "+", "×", "-12.00", "3.00", "1.00"} <= set(texts)
    assert len(texts["-4.00"]) == 4  # the value of z; the derivatives of x, y and of the sum


def test_a_graph_draws_a_shared_value_once_and_time_to_the_right():
    x = Value(3.0, "x")
    square = x * x
    ax = plots.computation_graph(backward(square + x), ax=plt.figure().gca())
    places = {t.get_text(): t.get_position() for t in ax.texts if t.get_text() in ("x", "×", "+")}
    assert sum(t.get_text() == "x" for t in ax.texts) == 1
    assert places["x"][0] < places["×"][0] < places["+"][0]


def test_constants_stand_in_the_operation():
    assert {"× 2", "1/x", "w"} <= set(graph_of((2 * Value(4.0, "w")).reciprocal()))
    assert set(graph_of(Value(3.0, "x") / 2.0)) == {
        "",
        "x",
        "× 0.5",
        "3.00",
        "1.50",
        "0.50",
        "1.00",
    }


def test_values_stand_above_and_derivatives_below_in_bold():
    texts = graph_of(Value(3.0, "x") * 5.0)
    for text, way, weight in (("15.00", 1, "normal"), ("5.00", -1, "bold"), ("3.00", 1, "normal")):
        (drawn,) = texts[text]
        assert drawn.get_position()[1] * way > 0
        assert drawn.get_fontweight() == weight
    assert texts["15.00"][0].get_color() != texts["5.00"][0].get_color()


def test_arrows_point_the_way_that_values_go():
    ax = plots.computation_graph(backward(Value(3.0, "x") * 5.0), ax=plt.figure().gca())
    (arrow,) = [text for text in ax.texts if getattr(text, "arrow_patch", None)]
    assert arrow.xyann[0] < arrow.xy[0]


def test_no_two_nodes_share_a_place():
    x, y = Value(2.0, "x"), Value(-3.0, "y")
    ax = plots.computation_graph(backward(x * y + (x + y)), ax=plt.figure().gca())
    nodes = [t.get_position() for t in ax.texts if t.get_bbox_patch()]
    assert len(nodes) == 5
    assert len(set(nodes)) == 5


def test_a_graph_shows_no_minus_nought():
    assert "-0.00" not in graph_of(Value(-3.0, "x").relu())


def test_confusion_matrix_draws_shares_of_each_row():
    _, ax = plt.subplots()
    assert plots.confusion_matrix(np.array([[3, 1], [0, 5]]), ["cat", "dog"], ax=ax) is ax
    assert ax.images[0].get_array().tolist() == [[75, 25], [0, 100]]
    assert [text.get_text() for text in ax.texts] == ["75", "25", "100"]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["cat", "dog"]


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda ax: plots.mean_and_spread([1], [[1], [2]], label="", ax=ax), "runs"),
        (lambda ax: plots.mean_and_spread([1], [[np.nan]], label="", ax=ax), "finite"),
        (lambda ax: plots.learning_curve([], label="", ax=ax), "each epoch"),
        (lambda ax: plots.learning_curve([[1]], label="", ax=ax), "one number for each epoch"),
        (lambda ax: plots.image_grid(np.zeros((2, 3)), ["a", "b"], ax=ax), "height"),
        (lambda ax: plots.image_grid(np.zeros((2, 3, 3)), ["a"], ax=ax), "1 labels"),
        (lambda ax: plots.confusion_matrix(np.ones((2, 3)), ["a", "b"], ax=ax), "counts"),
        (lambda ax: plots.contours(surfaces.bowl(), ax=ax, x=(1, 1)), "rising intervals"),
        (lambda ax: plots.contours(surfaces.bowl(), ax=ax, levels=0), "levels"),
        (lambda ax: plots.descent_path([1, 2], label="", ax=ax), "points"),
        (lambda ax: plots.confusion_matrix(np.eye(2) * [0, 1], ["a", "b"], ax=ax), "empty row"),
        (lambda ax: plots.decision_regions(np.sum, [[1, 2, 3]], [0], ax=ax), "points"),
        (lambda ax: plots.decision_regions(np.sum, [[1, 2]], [0, 1], ax=ax), "points"),
        (lambda ax: plots.decision_regions(np.sum, [[1, 2]], [8], ax=ax), "classes from 0 to 7"),
        (lambda ax: plots.decision_regions(np.sum, [[1, 2]], [1.0], ax=ax), "classes from 0"),
        (lambda ax: plots.computation_graph({}, ax=ax), "graph of numbers"),
        (lambda ax: plots.computation_graph(backward(Value(3.0)), ax=ax), "has a name"),
        (
            lambda ax: plots.computation_graph(backward(Value([1.0, 2.0]).sum()), ax=ax),
            "graph of numbers",
        ),
    ],
)
def test_bad_input_is_refused(draw, message):
    _, ax = plt.subplots()
    with pytest.raises((TypeError, ValueError), match=message):
        draw(ax)


def animated(shown):
    ways = {
        "straight, 0.025": np.array([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]]),
        "bent": np.array([[-1.0, 1.0], [0.5, 1.0], [1.0, -1.0]]),
    }
    plots.animate_descents(ways, surfaces.ravine(4), alt=ALT + ' With "quotes" & more.', seconds=2)
    ((data, options),) = shown
    assert options == {"raw": True}
    return data["text/html"], data["text/plain"]


def test_an_animation_is_one_picture_without_script_and_with_its_text(shown):
    html, text = animated(shown)
    assert text.startswith(ALT)
    assert 'aria-label="A line that rises' in html
    assert "&quot;quotes&quot; &amp; more." in html
    assert html.count("<svg") == html.count("</svg>") == 1
    assert "straight, 0.025" in html  # numbers are rounded in the drawing, not in its text
    assert not re.search(r'd="[^"]*\.\d\d', html)
    assert "<script" not in html
    assert "http" not in html.replace("http://www.w3.org/", "")
    ids = re.findall(r' id="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    key = ids[0]
    assert all(name.startswith(key) for name in ids)  # two of them may stand on one page
    assert set(re.findall(r"url\(#([^)]+)\)", html)) <= set(ids)
    assert not re.search(r"(^|})\*", html)  # no rule for the rest of the page
    assert len(html) < 150_000


def test_an_animation_moves_a_numbered_dot_along_each_way(shown):
    html, _ = animated(shown)
    for number in (1, 2):
        frames = re.search(rf"@keyframes \w+-{number}{{(.*?}})}}", html).group(1)
        places = re.findall(r"([\d.]+)%{transform:translate\(([\d.]+)px,([\d.]+)px\)}", frames)
        times, x, y = np.array(places, float).T
        assert times.tolist() == [0, 45, 90, 100]
        assert (np.diff(x) >= 0).all()
        if number == 1:
            assert np.ptp(y) == 0
            assert x[1] == pytest.approx((x[0] + x[2]) / 2, abs=0.1)
        else:
            assert y[2] > y[1]  # down on the page
            assert x[1] == pytest.approx(x[0] + 0.75 * (x[2] - x[0]), abs=0.1)


@pytest.mark.slow
def test_an_animation_plays_pauses_and_respects_reduced_motion(shown, chromium, tmp_path):
    from playwright.sync_api import sync_playwright

    html, _ = animated(shown)
    page_file = tmp_path / "page.html"
    page_file.write_text(f"<!doctype html><html lang=en><body>{html}</body></html>")
    states = "document.getAnimations().map(a => a.playState)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_page()
        page.goto(page_file.as_uri())
        assert page.evaluate(states) == ["running"] * 2
        before = page.locator(".dot").first.bounding_box()
        page.wait_for_timeout(300)
        assert page.locator(".dot").first.bounding_box() != before
        page.get_by_label("hold still").check()
        assert page.evaluate(states) == ["paused"] * 2
        still = browser.new_page(reduced_motion="reduce")
        still.goto(page_file.as_uri())
        assert still.evaluate(states) == []
        assert not still.get_by_label("hold still").is_visible()
        browser.close()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ways": {}}, "one to six ways"),
        ({"ways": {"a": [[0, 0]], "b": [[0, 0], [1, 1]]}}, "of one length"),
        ({"ways": {"a": [[0, np.nan]]}}, "finite"),
        ({"ways": {str(i): [[0, 0], [1, 1]] for i in range(7)}}, "one to six"),
        ({"alt": "Descents"}, "in a sentence"),
        ({"seconds": 0}, "seconds must be greater than 0"),
    ],
)
def test_an_animation_refuses_bad_input(change, message):
    settings = {"ways": {"a": [[0, 0], [1, 1]]}, "alt": ALT, "seconds": 1, **change}
    ways = settings.pop("ways")
    with pytest.raises(ValueError, match=message):
        plots.animate_descents(ways, surfaces.bowl(), **settings)


def test_a_decision_chart_leads_aside_with_one_answer_and_on_with_the_other():
    steps = [("Ask?", "yes", "Cure."), ("Do.", "", ""), ("Ask again?", "no", "Cure again.")]
    ax = plots.decision_chart(steps, ax=plt.figure().gca())
    words = [text.get_text() for text in ax.texts if text.get_text()]
    assert words == ["Ask?", "no", "yes", "Cure.", "Do.", "Ask again?", "no", "Cure again."]
    assert len(ax.patches) == 5


def test_a_decision_chart_leads_from_box_to_box():
    steps = [("Ask?", "yes", "Cure."), ("Do.", "", ""), ("End?", "no", "Last.")]
    ax = plots.decision_chart(steps, ax=plt.figure().gca())
    at = {text.get_text(): text.get_position() for text in ax.texts if text.get_text()}
    boxes = [box.get_path().get_extents().extents for box in ax.patches]
    assert at["Ask?"][1] < at["Do."][1] < at["End?"][1]
    assert ax.yaxis_inverted()
    for what, aside in (("Ask?", "Cure."), ("End?", "Last.")):
        assert at[what][1] == at[aside][1]
        assert at[what][0] < at[aside][0]
    for words in ("Ask?", "Cure.", "Do.", "End?", "Last."):
        assert any(np.allclose(at[words], (box[:2] + box[2:]) / 2) for box in boxes)
    looks = [(box.get_boxstyle().rounding_size > 0.05, box.get_edgecolor()) for box in ax.patches]
    assert len(set(looks)) == 3  # a question, a step, a cure
    assert sum(is_round for is_round, _ in looks) == 2  # the questions, by more than colour
    arrows = [text for text in ax.texts if not text.get_text()]
    for arrow in arrows:  # from the edge of a box to the edge of another
        ends = [edges_at(boxes, point) for point in (arrow.get_position(), arrow.xy)]
        assert [len(found) for found in ends] == [1, 1]
        assert ends[0] != ends[1]
        x, y = np.add(arrow.xy, arrow.get_position()) / 2
        assert not any(box[0] < x < box[2] and box[1] < y < box[3] for box in boxes)
    ways = [np.subtract(arrow.xy, arrow.get_position()) for arrow in arrows]
    assert sorted((x > 0, y > 0) for x, y in ways) == [(False, True)] * 2 + [(True, False)] * 2
    first_no = next(text.get_position() for text in ax.texts if text.get_text() == "no")
    aside, on = np.array([[1.1, 0], [0.5, 0.5]])  # the middles of the ways out of the first box
    assert np.abs(at["yes"] - aside).max() < 0.1
    assert np.abs(first_no - on).max() < 0.1
    assert at["yes"][1] < 0  # above its arrow, not on it
    corners = np.array(boxes)
    assert ax.get_xlim()[0] < corners[:, 0].min()
    assert ax.get_xlim()[1] > corners[:, 2].max()
    assert min(ax.get_ylim()) < corners[:, 1].min()
    assert max(ax.get_ylim()) > corners[:, 3].max()


def edges_at(boxes, point):
    """The boxes on whose edge, away from the corners, a point lies."""
    x, y = point
    return [
        tuple(box)
        for box in boxes
        if (np.isclose(x, box[[0, 2]]).any() and box[1] < y < box[3])
        or (np.isclose(y, box[[1, 3]]).any() and box[0] < x < box[2])
    ]


@pytest.mark.parametrize(
    "steps", [[], [("Ask?", "no", "")], [("Ask?", "", "Cure.")], [("Ask?", "perhaps", "Cure.")]]
)
def test_a_decision_chart_without_steps_or_cures_is_refused(steps):
    with pytest.raises(ValueError, match="expected"):
        plots.decision_chart(steps, ax=plt.figure().gca())
