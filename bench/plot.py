# SPDX-License-Identifier: LGPL-2.1-or-later
"""The plot: a panel a measurement, a bar an allocator, glibc's time being 1."""

from html import escape

COLUMNS = 3
WIDTH, ROW, BAR = 412, 21, 13
LEFT, RIGHT, TOP, BOTTOM = 112, 82, 34, 26
TITLE = 54
MOST = 1.6  # longer bars are cut, with their number beside them

COLOURS = {
    "glibc": "#8a8f98", "glibc hugetlb=2": "#5d6570", "jemalloc": "#c9a227",
    "mimalloc": "#6a9a5b", "tcmalloc": "#7fa8c9", "tcmalloc memfs": "#3f6f9a",
    "hugeshim": "#c8453b", "hugeshim base": "#d9928c",
}
STYLE = """
text { font-family: sans-serif; font-size: 11px; fill: #222;
  paint-order: stroke; stroke: white; stroke-width: 3px }
.title { font-size: 17px; font-weight: bold }
.panel { font-size: 13px; font-weight: bold }
.small { font-size: 10px; fill: #555 }
.us { font-weight: bold }
.grid { stroke: #ddd } .one { stroke: #555; stroke-dasharray: 3 2 }
.spread { stroke: #111 }
"""


def text(x, y, words, anchor="start", kind=""):
    kind = f' class="{kind}"' if kind else ""
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}>'
            f"{escape(words)}</text>")


def line(x1, y1, x2, y2, kind):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'class="{kind}"/>')


def seconds(value):
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1000:.{0 if value >= 0.01 else 1}f} ms"


def bar(x, y, unit, name, ratio, label, us):
    """One allocator: its name, its bar with the interval, its median."""
    middle, low, high = ratio
    cut = min(middle, MOST)
    parts = [text(x - 6, y + BAR - 2, name, "end", "us" if name == us else ""),
             f'<rect x="{x:.1f}" y="{y:.1f}" width="{cut * unit:.1f}" '
             f'height="{BAR}" fill="{COLOURS.get(name, "#999")}"/>']
    if low <= MOST:
        centre, right = y + BAR / 2, x + min(high, MOST) * unit
        parts.append(line(x + low * unit, centre, right, centre, "spread"))
        parts += [line(x + end * unit, centre - 3, x + end * unit, centre + 3,
                       "spread") for end in (low, high) if end <= MOST]
    end, anchor = x + min(max(cut, high), MOST) * unit + 5, "start"
    if middle > MOST:
        label = f"{middle:.1f} x, {label}"
        end, anchor = x + MOST * unit + RIGHT - 4, "end"
    parts.append(text(end, y + BAR - 2, label, anchor,
                      "us" if name == us else ""))
    return parts


def panel(x, y, results, metric, title, column, baseline, us):
    parts = [text(x + 4, y + 18, title, kind="panel")]
    unit = (WIDTH - LEFT - RIGHT) / MOST
    names = [name for name in results.allocators()
             if results.ratio(metric, name, column, baseline)]
    bottom = y + TOP + len(names) * ROW
    for tick in (0, 0.5, 1, 1.5):
        at = x + LEFT + tick * unit
        parts += [line(at, y + TOP - 4, at, bottom,
                       "one" if tick == 1 else "grid"),
                  text(at, bottom + 12, f"{tick:g}", "middle", "small")]
    for i, name in enumerate(names):
        parts += bar(x + LEFT, y + TOP + i * ROW + (ROW - BAR) / 2, unit, name,
                     results.ratio(metric, name, column, baseline),
                     seconds(results.median(metric, name, column)), us)
    return parts


def draw(results, titles, column, baseline, us, description):
    metrics = results.metrics()
    height = TOP + len(results.allocators()) * ROW + BOTTOM
    rows = -(-len(metrics) // COLUMNS)
    notes = [part for part in description.splitlines()
             if part.split(":")[0] in ("commit", "processor", "kernel",
                                       "rounds")]
    kind = "CPU" if column == "cpu_s" else "Wall"
    total_height = TITLE + rows * height + 16 * len(notes) + 12
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" '
             f'width="{COLUMNS * WIDTH + 16}" height="{total_height}">',
             f"<style>{STYLE}</style>",
             '<rect width="100%" height="100%" fill="white"/>',
             text(12, 26, f"{kind} time, {baseline} = 1: "
                  "shorter is better", kind="title"),
             text(12, 44, "Median of the interleaved rounds, with its 90 % "
                  "interval; beside it the median time.", kind="small")]
    for i, metric in enumerate(metrics):
        parts += panel(8 + i % COLUMNS * WIDTH, TITLE + i // COLUMNS * height,
                       results, metric, titles.get(metric, metric), column,
                       baseline, us)
    for i, note in enumerate(notes):
        parts.append(text(12, TITLE + rows * height + 16 * (i + 1) - 4, note,
                          kind="small"))
    return "\n".join(parts + ["</svg>"]) + "\n"
