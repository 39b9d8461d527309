"""The book's figure style, and its few kinds of figure.

Figures stand on an opaque light card, so they read the same on light and on dark pages.
Lines differ in dash as well as in colour, and the colours (Okabe and Ito's, the light ones
left out) survive colour blindness.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from helpers.checks import MayBeInfinite, checked

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from helpers.autodiff import Value
    from helpers.surfaces import Surface

__all__ = [
    "animate_descents",
    "computation_graph",
    "confusion_matrix",
    "contours",
    "decision_chart",
    "decision_regions",
    "descent_path",
    "house_style",
    "image_grid",
    "learning_curve",
    "mean_and_spread",
    "show",
]

INK = "#22262b"
PAPER = "#ffffff"
COLOURS = ("#0072b2", "#d55e00", "#00795a", "#a8408a", "#444b52", "#8a6100")
DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (6, 1, 1, 1)), (0, (9, 2)), "-.")
PIXELS_PER_INCH = 100
DENSITY = 2


def house_style() -> None:
    """Set matplotlib to the book's style: a chapter calls it once, after its imports.

    Example:
        >>> house_style()
    """
    import matplotlib.pyplot as plt
    from cycler import cycler

    plt.rcParams.update(
        {
            "figure.figsize": (7.2, 4.2),
            "figure.facecolor": PAPER,
            "figure.constrained_layout.use": True,
            "axes.prop_cycle": cycler(color=COLOURS) + cycler(linestyle=DASHES),
            "axes.facecolor": PAPER,
            "axes.edgecolor": INK,
            "axes.labelcolor": INK,
            "axes.titlesize": 12,
            "axes.titlelocation": "left",
            "axes.labelsize": 11,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "grid.color": "#dfe3e8",
            "grid.linewidth": 0.8,
            "lines.linewidth": 2,
            "text.color": INK,
            "xtick.color": INK,
            "ytick.color": INK,
            "xtick.labelsize": 10,
            "ytick.labelsize": 10,
            "legend.frameon": False,
            "legend.fontsize": 10,
            "legend.handlelength": 3,
        }
    )


@checked
def show(figure: Figure, alt: str) -> None:
    """Show a figure in the page, with the text that a reader who cannot see it gets.

    The picture has twice the pixels of its size on the page, and few colours, so it is
    crisp and small. The figure is closed.

    Args:
        figure: a matplotlib figure.
        alt: what the figure shows, in one or more full sentences.

    Raises:
        ValueError: alt has fewer than 40 characters: that is a title, not a description.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> show(plt.figure(), alt="Nothing")
        Traceback (most recent call last):
        ValueError: alt must say what the figure shows, in a sentence; found 'Nothing'
    """
    import matplotlib.pyplot as plt
    from IPython.display import display
    from PIL import Image

    alt = " ".join(alt.split())
    if len(alt) < 40:
        plt.close(figure)
        raise ValueError(f"alt must say what the figure shows, in a sentence; found {alt!r}")
    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, dpi=PIXELS_PER_INCH * DENSITY)
    width, height = (round(inches * PIXELS_PER_INCH) for inches in figure.get_size_inches())
    plt.close(figure)
    picture = Image.open(drawn).convert("RGB")
    picture.quantize(256, dither=Image.Dither.NONE).save(packed, format="PNG", optimize=True)
    display(
        {"image/png": base64.b64encode(packed.getvalue()).decode(), "text/plain": alt},
        metadata={"image/png": {"width": width, "height": height, "alt": alt}},
        raw=True,
    )


@checked
def image_grid(
    images: np.ndarray, labels: Sequence[str], *, columns: int = 10, ax: Axes | None = None
) -> Axes:
    """Draw greyscale images in rows and columns, each with a label below it.

    Args:
        images: (n, height, width), values in [0, 1]; 1 is drawn black.
        labels: n texts; a text may have several lines.
        columns: images in a row.
        ax: where to draw; a new figure of fitting size by default.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: images is not a stack of pictures, the labels are not as many, or columns
            is less than 1.

    Example:
        >>> ax = image_grid(np.zeros((3, 28, 28)), ["a", "b", "c"], columns=3)
        >>> len(ax.images)
        3
    """
    import matplotlib.pyplot as plt

    images = np.asarray(images)
    if images.ndim != 3 or len(images) != len(labels) or len(images) == 0:
        raise ValueError(
            f"expected images (n, height, width) with n labels, found {images.shape} "
            f"and {len(labels)} labels"
        )
    if columns < 1:
        raise ValueError(f"columns must be at least 1, found {columns}")
    rows = -(-len(images) // columns)
    lines = max(label.count("\n") + 1 for label in labels)
    height, width = images.shape[1:]
    row_height = height + 3 + 5 * lines
    if ax is None:
        size = 7.6 / columns
        _, ax = plt.subplots(figsize=(7.6, rows * size * row_height / (width + 4)))
    for i, (image, label) in enumerate(zip(images, labels, strict=True)):
        x, y = (i % columns) * (width + 4), (i // columns) * row_height
        ax.imshow(image, cmap="Greys", vmin=0, vmax=1, extent=(x, x + width, y + height, y))
        ax.text(x + width / 2, y + height + 1.5, label, ha="center", va="top", fontsize=7.5)
    ax.set_xlim(-2, columns * (width + 4) - 2)
    ax.set_ylim(rows * row_height, -1)
    ax.set_axis_off()
    return ax


@checked
def mean_and_spread(
    x: np.ndarray, values: np.ndarray, *, label: str, ax: Axes, **line: Any
) -> Axes:
    """Draw the mean over several runs as a line, and their range as a band.

    Args:
        x: (n,) positions.
        values: (n, runs) finite numbers.
        label: name of the line.
        ax: where to draw.
        line: passed on to `ax.plot`, such as marker="o".

    Returns:
        The axes drawn on.

    Raises:
        ValueError: the shapes do not fit, or a value is not finite.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> ax = mean_and_spread([1, 2], [[0, 2], [1, 3]], label="loss", ax=plt.figure().gca())
        >>> ax.lines[0].get_ydata().tolist()
        [1.0, 2.0]
    """
    x, values = np.asarray(x, float), np.asarray(values, float)
    if x.ndim != 1 or values.ndim != 2 or values.shape[0] != len(x):
        raise ValueError(f"expected x (n,) and values (n, runs), found {x.shape}, {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("expected finite values: decide what a diverged run counts as")
    (drawn,) = ax.plot(x, values.mean(axis=1), label=label, **line)
    ax.fill_between(
        x, values.min(axis=1), values.max(axis=1), color=drawn.get_color(), alpha=0.2, lw=0
    )
    return ax


@checked
def learning_curve(values: MayBeInfinite, *, label: str, ax: Axes, **line: Any) -> Axes:
    """Draw one number an epoch, as measured at the end of epochs 1, 2, ...

    Args:
        values: one number for each epoch.
        label: name of the line.
        ax: where to draw.
        line: passed on to `ax.plot`.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: values is empty or not one-dimensional.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> learning_curve([2.3, 0.5], label="loss", ax=plt.figure().gca()).get_xlabel()
        'epoch'
    """
    from matplotlib.ticker import MaxNLocator

    curve = np.asarray(values, float)
    if curve.ndim != 1 or curve.size == 0:
        raise ValueError(f"expected one number for each epoch, found shape {curve.shape}")
    ax.plot(np.arange(1, len(curve) + 1), curve, label=label, **line)
    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    return ax


@checked
def contours(
    surface: Surface,
    *,
    ax: Axes,
    x: tuple[float, float] = (-2.0, 2.0),
    y: tuple[float, float] = (-2.0, 2.0),
    levels: int = 14,
) -> Axes:
    """Draw the contour lines of a surface, closer together where it is low.

    Args:
        surface: a surface of `helpers.surfaces`.
        ax: where to draw.
        x: smallest and largest first coordinate.
        y: smallest and largest second coordinate.
        levels: number of lines.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: an interval is empty, or levels is less than 1.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> from helpers.surfaces import bowl
        >>> ax = contours(bowl(), ax=plt.figure().gca(), levels=5)
        >>> len(ax.collections[0].levels)
        5
    """
    if not (x[0] < x[1] and y[0] < y[1]) or levels < 1:
        raise ValueError(f"expected rising intervals and levels >= 1, found {x}, {y}, {levels}")
    grid = np.stack(np.meshgrid(np.linspace(*x, 161), np.linspace(*y, 161)), axis=-1)
    values = surface.value(grid)
    heights = values.min() + (values.max() - values.min()) * np.linspace(0.01, 1, levels) ** 2
    ax.contour(grid[..., 0], grid[..., 1], values, levels=heights, colors="#9aa4ae", linewidths=0.8)
    ax.set(xlim=x, ylim=y, xlabel="$w_1$", ylabel="$w_2$")
    ax.grid(False)
    return ax


@checked
def descent_path(points: np.ndarray, *, label: str, ax: Axes, **line: Any) -> Axes:
    """Draw the way of a descent over a surface, with a dot for each step.

    Args:
        points: (steps + 1, 2), the start first.
        label: name of the path.
        ax: where to draw.
        line: passed on to `ax.plot`.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: points is not a list of points of the plane.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> ax = descent_path([[1, 1], [0, 0]], label="one step", ax=plt.figure().gca())
        >>> len(ax.lines)
        1
    """
    way = np.asarray(points, float)
    if way.ndim != 2 or way.shape[1] != 2:
        raise ValueError(f"expected points (steps, 2), found shape {way.shape}")
    ax.plot(way[:, 0], way[:, 1], label=label, **{"marker": ".", "lw": 1.3, "ms": 5, **line})
    return ax


@checked
def animate_descents(
    ways: Mapping[str, np.ndarray],
    surface: Surface,
    *,
    alt: str,
    x: tuple[float, float] = (-2.0, 2.0),
    y: tuple[float, float] = (-2.0, 2.0),
    seconds: float = 8.0,
) -> None:
    """Show descents over one surface, with a moving dot for each: step by step, side by side.

    It is one picture in the page (SVG), moved by its own style sheet: no script, no kernel. It
    stands still, with all ways drawn to their ends, for people who prefer reduced motion, and for
    everybody who ticks the box.

    Args:
        ways: names and ways (steps + 1, 2), all with as many steps; at most six.
        surface: the surface below.
        alt: what the picture shows, in one or more full sentences.
        x: smallest and largest first coordinate.
        y: smallest and largest second coordinate.
        seconds: how long one round takes, greater than 0.

    Raises:
        ValueError: the ways differ in length, are too many, or leave the finite plane; alt is
            too short; or seconds is not greater than 0.

    Example:
        >>> from helpers.surfaces import bowl
        >>> animate_descents({}, bowl(), alt="Two descents, side by side, on a round bowl.")
        Traceback (most recent call last):
        ValueError: expected one to six ways of finite points, of one length, found {}
    """
    import matplotlib.pyplot as plt
    from IPython.display import display

    alt = " ".join(alt.split())
    arrays = [np.asarray(way, float) for way in ways.values()]
    fit = len({way.shape for way in arrays}) == 1 and 1 <= len(arrays) <= len(COLOURS)
    if not fit or arrays[0].ndim != 2 or not all(np.isfinite(way).all() for way in arrays):
        shapes = {name: np.shape(way) for name, way in ways.items()}
        raise ValueError(
            f"expected one to six ways of finite points, of one length, found {shapes}"
        )
    if len(alt) < 40:
        raise ValueError(f"alt must say what the picture shows, in a sentence; found {alt!r}")
    if not 0 < seconds < np.inf:
        raise ValueError(f"seconds must be greater than 0, found {seconds!r}")
    figure, ax = plt.subplots(figsize=(7.2, 4.4))
    contours(surface, ax=ax, x=x, y=y)
    for number, (name, way) in enumerate(zip(ways, arrays, strict=True), start=1):
        descent_path(way, label=f"{number}  {name}", ax=ax, marker=None, lw=1.2)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    if surface.minimum is not None:
        ax.plot(*surface.minimum, marker="*", ms=12, color=INK, ls="")
    moving = _moving(figure, ax, arrays, alt, seconds)
    plt.close(figure)
    display({"text/html": moving, "text/plain": alt}, raw=True)


def _moving(figure: Figure, ax: Axes, ways: Sequence[np.ndarray], alt: str, seconds: float) -> str:
    """The figure as HTML: SVG with a numbered dot for each way, and the style that moves them."""
    import matplotlib as mpl

    drawn = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "descents"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    svg = drawn.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r"<[^>]+>", _rounded_tag, svg)
    key = "d" + hashlib.sha256(svg.encode()).hexdigest()[:8]
    svg = re.sub(r'( id="|url\(#|href="#)', rf"\g<1>{key}-", svg).replace("*{", f"#{key} *{{")
    width, height = 72 * figure.get_size_inches()
    opening = f'<svg viewBox="0 0 {width:.1f} {height:.1f}" role="img"'
    opening += f' aria-label="{html.escape(alt)}" style="width:100%;height:auto">'
    svg = opening + svg[svg.index(">") + 1 : svg.rindex("</svg>")]
    rules, dots = [], []
    for number, (way, colour) in enumerate(zip(ways, COLOURS, strict=False), start=1):
        places = ax.transData.transform(way) * 72 / figure.dpi
        places[:, 1] = height - places[:, 1]
        moves = [f"transform:translate({px:.1f}px,{py:.1f}px)" for px, py in places]
        times = np.linspace(0, 90, len(moves))  # in percent; the rest is a pause at the end
        frames = "".join(f"{t:.1f}%{{{move}}}" for t, move in zip(times, moves, strict=True))
        rules.append(f"@keyframes {key}-{number}{{{frames}100%{{{moves[-1]}}}}}")
        dots.append(
            f'<g class="dot" style="animation-name:{key}-{number};{moves[-1]}">'
            f'<circle r="7" fill="{colour}"/><text y="3.5" text-anchor="middle" fill="#fff"'
            f' style="font:bold 10px sans-serif">{number}</text></g>'
        )
    style = (
        f"#{key}{{background:{PAPER};color:{INK};padding:0.3em;max-width:46em}}"
        f"#{key} .dot{{animation:{seconds:g}s linear infinite}}"
        f"#{key} input:checked~svg .dot{{animation-play-state:paused}}"
        f"@media print,(prefers-reduced-motion:reduce){{#{key} .dot{{animation:none!important}}"
        f"#{key} input,#{key} label{{display:none}}}}"
    )
    return (
        f'<div id="{key}"><style>{style}{"".join(rules)}</style>'
        f'<input type="checkbox" id="{key}-still"> <label for="{key}-still">hold still</label>'
        f"{svg}{''.join(dots)}</svg></div>"
    )


def _rounded_tag(tag: re.Match[str]) -> str:
    """A tag of an SVG, its coordinates to a tenth of a point; the text between tags stays."""
    return re.sub(r"\d+\.\d+", lambda number: f"{float(number.group()):.1f}", tag.group())


@checked
def computation_graph(gradients: Mapping[Value, np.ndarray], *, ax: Axes) -> Axes:
    """Draw how a number was computed: each value above its node, each derivative below.

    Time runs to the right. Constants without a name are written into the operation that uses
    them.

    Args:
        gradients: what `helpers.autodiff.backward` returned, for a graph of numbers.
        ax: where to draw.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: a value of the graph is an array, or none has a name.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> from helpers.autodiff import Value, backward
        >>> w = Value(3.0, name="w")
        >>> ax = computation_graph(backward(2 * w), ax=plt.figure().gca())
        >>> [text.get_text() for text in ax.texts if text.get_text()]
        ['× 2', '6.00', '1.00', 'w', '3.00', '2.00']
    """
    if any(np.size(getattr(value, "data", ())) != 1 for value in gradients):
        raise ValueError("expected the gradients of a graph of numbers, each of a single entry")
    shown = [value for value in gradients if not _is_constant(value)]
    if not shown:
        raise ValueError("expected a graph of numbers with at least one that has a name")
    parents = {
        value: [p for p, _ in value.parents if p in shown]  # Value compares by identity
        for value in shown
    }
    depth: dict[Value, int] = {}
    rows: dict[Value, float] = {}

    def place(value: Value) -> None:
        if value in depth:
            return
        for parent in parents[value]:
            place(parent)
        above = [depth[parent] for parent in parents[value]]
        depth[value] = 1 + max(above) if above else 0
        leaves = sum(not parents[one] for one in depth) - 1
        rows[value] = float(np.mean([rows[p] for p in parents[value]])) if above else leaves

    place(shown[0])
    for leaf in [value for value in shown if not parents[value]]:
        users = [depth[value] for value in shown if leaf in parents[value]]
        depth[leaf] = min(users, default=1) - 1
    taken: set[tuple[int, float]] = set()
    for value in shown:
        while (depth[value], rows[value]) in taken:
            rows[value] += 1
        taken.add((depth[value], rows[value]))
    for value in shown:
        x, y = depth[value], -rows[value]
        for parent in dict.fromkeys(parents[value]):
            ax.annotate(
                "",
                xy=(x, y),
                xytext=(depth[parent], -rows[parent]),
                arrowprops={
                    "arrowstyle": "-|>",
                    "color": COLOURS[4],
                    "shrinkA": 15,
                    "shrinkB": 15,
                    "lw": 1,
                },
            )
        box = {"boxstyle": "round" if parents[value] else "square", "fc": PAPER, "ec": INK}
        ax.text(x, y, _node(value), ha="center", va="center", fontsize=10, bbox=box)
        for number, way, colour in (
            (value.data, 1, COLOURS[0]),
            (gradients[value], -1, COLOURS[1]),
        ):
            ax.annotate(
                f"{round(np.asarray(number).item(), 2) + 0.0:.2f}",  # no -0.00
                (x, y),
                xytext=(0, 15 * way),
                textcoords="offset points",
                ha="center",
                va="bottom" if way > 0 else "top",
                color=colour,
                fontsize=10,
                fontweight="bold" if way < 0 else "normal",
            )
    ax.set_xlim(-0.5, max(depth.values()) + 0.5)
    ax.set_ylim(-max(rows.values()) - 0.7, 0.7)
    ax.set_axis_off()
    return ax


def _is_constant(value: Value) -> bool:
    """Whether neither a value nor any that it was made from has a name."""
    return not value.name and all(_is_constant(parent) for parent, _ in value.parents)


def _node(value: Value) -> str:
    """A node's text: its name, or its operation with the constants that went into it."""
    if value.name and not value.parents:
        return value.name
    sign = value.operation.replace("*", "×")
    constants = [f"{p.data.item():g}" for p, _ in value.parents if _is_constant(p)]
    text = " ".join([sign, *constants]).replace("-", "−")
    return f"{value.name}: {text}" if value.name else text


@checked
def decision_chart(
    steps: Sequence[tuple[str, str, str]], *, ax: Axes, answers: tuple[str, str] = ("yes", "no")
) -> Axes:
    """Draw a way through decisions: steps from top to bottom, and beside them what to do if not.

    Args:
        steps: for each step what it does or asks; and, for a question, the answer that leads
            aside and what to do then. The last two are empty for a step without a question.
        ax: where to draw.
        answers: the two answers a question can have.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: there is no step, or a step has one of answer and cure without the other, or
            another answer.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> steps = [("Train.", "", ""), ("Does it learn?", "no", "Look at the data.")]
        >>> ax = decision_chart(steps, ax=plt.figure().gca())
        >>> [text.get_text() for text in ax.texts if text.get_text()]
        ['Train.', 'Does it learn?', 'no', 'Look at the data.']
    """
    if not steps:
        raise ValueError("expected at least one step")
    for what, answer, cure in steps:
        if bool(answer) != bool(cure) or answer not in ("", *answers):
            raise ValueError(
                f"expected an answer of {answers} with what to do then, or neither, for the step "
                f"{what!r}; found {answer!r} and {cure!r}"
            )
    arrow = {"arrowstyle": "-|>", "color": COLOURS[4], "lw": 1.2, "shrinkA": 0, "shrinkB": 0}
    words: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 10, "linespacing": 1.15}
    half = 0.36  # of the height of a box; a row is 1 high, the first column from 0 to 1
    for row, (what, answer, cure) in enumerate(steps):
        question = bool(answer)
        _box(ax, (0, row - half, 1, 2 * half), COLOURS[0] if question else INK, rounded=question)
        ax.text(0.5, row, what, **words)
        if row + 1 < len(steps):
            ax.annotate("", (0.5, row + 1 - half), (0.5, row + half), arrowprops=arrow)
            if question:
                other = answers[answer == answers[0]]
                ax.text(0.53, row + 0.5, other, va="center", fontsize=9)
        if question:
            ax.annotate("", (1.2, row), (1, row), arrowprops=arrow)
            ax.text(1.1, row - 0.06, answer, ha="center", va="bottom", fontsize=9)
            _box(ax, (1.2, row - half, 1, 2 * half), COLOURS[1], rounded=False)
            ax.text(1.7, row, cure, **words)
    ax.set(xlim=(-0.02, 2.22), ylim=(len(steps) - 0.5, -0.5))
    ax.set_axis_off()
    return ax


def _box(ax: Axes, place: tuple[float, float, float, float], colour: str, *, rounded: bool) -> None:
    """A box: x, y, width, height. A question's corners are round, so colour is not alone."""
    from matplotlib.patches import FancyBboxPatch

    x, y, width, height = place
    style = f"round,pad=0,rounding_size={0.08 if rounded else 0.01}"
    ax.add_patch(
        FancyBboxPatch(
            (x, y),
            width,
            height,
            boxstyle=style,
            mutation_aspect=4.5,  # a row is as much lower than a column is wide
            fc=PAPER,
            ec=colour,
            lw=1.5,
        )
    )


MARKERS = "osD^vP*X"
"""One marker a class: no meaning by colour alone."""


@checked
def decision_regions(
    classify: Callable[[np.ndarray], np.ndarray], x: np.ndarray, y: np.ndarray, *, ax: Axes
) -> Axes:
    """Draw points of the plane by class, and where a classifier changes its mind.

    Args:
        classify: takes points (n, 2), returns n classes from 0.
        x: the points to draw, (n, 2).
        y: their classes, up to 7.
        ax: where to draw.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: the points are not n points of the plane with n classes from 0 to 7.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> x, y = np.array([[-1.0, 0.0], [1.0, 0.0]]), np.array([0, 1])
        >>> ax = decision_regions(lambda p: p[:, 0] > 0, x, y, ax=plt.figure().gca())
        >>> len(ax.lines)
        2
    """
    x, y = np.asarray(x, float), np.asarray(y)
    if x.ndim != 2 or x.shape[1] != 2 or y.shape != (len(x),) or len(x) == 0:
        raise ValueError(f"expected points (n, 2) with n classes, found {x.shape} and {y.shape}")
    classes = np.unique(y)
    if classes.dtype.kind not in "iu" or not np.isin(classes, range(len(MARKERS))).all():
        raise ValueError(f"expected classes from 0 to {len(MARKERS) - 1}, found {classes}")
    half = 1.1 * np.abs(x).max()
    side = np.linspace(-half, half, 301)
    grid = np.stack(np.meshgrid(side, side), axis=-1)
    chosen = np.asarray(classify(grid.reshape(-1, 2))).reshape(grid.shape[:2]).astype(int)
    for one in np.unique(chosen):
        ax.contour(side, side, chosen == one, levels=[0.5], colors=INK, linewidths=1.2)
    for one in classes:
        ax.plot(
            *x[y == one].T,
            MARKERS[one],
            ms=3.5,
            color=COLOURS[one % len(COLOURS)],
            mfc="none",
            mew=0.9,
            label=f"class {one}",
        )
    ax.set(xlim=(-half, half), ylim=(-half, half), xlabel="$x_1$", ylabel="$x_2$", aspect="equal")
    ax.grid(False)
    return ax


@checked
def confusion_matrix(counts: np.ndarray, names: Sequence[str], *, ax: Axes) -> Axes:
    """Draw how often each class (rows) was taken for each class (columns), in percent.

    Args:
        counts: (classes, classes), counts[i, j] examples of class i predicted as j.
        names: the classes' names.
        ax: where to draw.

    Returns:
        The axes drawn on.

    Raises:
        ValueError: counts is not square, does not fit names, or has an empty row.

    Example:
        >>> import matplotlib.pyplot as plt
        >>> ax = confusion_matrix(np.eye(2), ["cat", "dog"], ax=plt.figure().gca())
        >>> [text.get_text() for text in ax.texts]
        ['100', '100']
    """
    counts = np.asarray(counts)
    if counts.shape != (len(names), len(names)):
        raise ValueError(f"expected counts ({len(names)}, {len(names)}), found {counts.shape}")
    if (counts.sum(axis=1) == 0).any():
        raise ValueError("expected at least one example of each class, found an empty row")
    share = 100 * counts / counts.sum(axis=1, keepdims=True)
    ax.imshow(share, cmap="Blues", vmin=0, vmax=100)
    for i, j in np.ndindex(*counts.shape):
        if share[i, j] > 0.5:
            colour = PAPER if share[i, j] > 50 else INK
            ax.text(j, i, f"{share[i, j]:.0f}", ha="center", va="center", color=colour)
    ax.set_xticks(range(len(names)), names, rotation=40, ha="right")
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="predicted class", ylabel="true class")
    ax.grid(False)
    return ax
