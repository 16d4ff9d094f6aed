"""Curves as one SVG of several panels, by gnuplot."""

import math
import shutil
import subprocess
from dataclasses import dataclass, field

COLUMNS = 2
PANEL = (480, 320)  # pixels


@dataclass
class Panel:
    title: str
    x: str
    y: str
    series: dict  # name: [(x, y), ...]
    log_x: bool = False
    lines: list = field(default_factory=list)  # of gnuplot, such as a range


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


def script(path, panels):
    """What gnuplot is told."""
    rows = math.ceil(len(panels) / COLUMNS)
    size = f"{PANEL[0] * COLUMNS},{PANEL[1] * rows}"
    said = [
        f"set terminal svg size {size} font 'sans,11' background 'white'",
        f"set output {quoted(path)}",
        f"set multiplot layout {rows},{COLUMNS}",
        "set grid",
        "set key above",
        "set style data linespoints",
    ]
    for panel in panels:
        said += [
            f"set title {quoted(panel.title)} noenhanced",
            f"set xlabel {quoted(panel.x)} noenhanced",
            f"set ylabel {quoted(panel.y)} noenhanced",
            "set logscale x" if panel.log_x else "unset logscale x",
            "set format x '%.0s%c'" if panel.log_x else "set format x '%g'",
            "set yrange [0:*]",
            *panel.lines,
        ]
        plots = []
        for at, (name, points) in enumerate(panel.series.items()):
            said += [f"$data{at} << END", *(f"{x} {y}" for x, y in points), "END"]
            plots.append(f"$data{at} using 1:2 title {quoted(name)} noenhanced lw 2 pt 7 ps 0.4")
        said.append("plot " + ", ".join(plots))
    return "\n".join([*said, "unset multiplot", ""])


def draw(path, panels):
    """Writes the picture, or says why there is none."""
    if shutil.which("gnuplot") is None:
        print(f"LEFT OUT {path}: no gnuplot (Debian: gnuplot-nox)")
        return
    subprocess.run(["gnuplot"], input=script(path, panels), text=True, check=True, timeout=60)
