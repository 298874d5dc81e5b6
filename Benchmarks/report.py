"""What the benchmarks share: tables, goals, programs in C, the processor time of a process."""

import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |", flush=True)


def head(*titles):
    row(*titles)
    row(*["---"] * len(titles))


class Goals:
    """Figures beside the goals that they should reach; a figure that was not measured is None."""

    def __init__(self):
        self.lines = []

    def at_least(self, what, figure, goal, unit=""):
        self._add(what, figure, ">=", goal, unit, figure is not None and figure >= goal)

    def at_most(self, what, figure, goal, unit=""):
        self._add(what, figure, "<=", goal, unit, figure is not None and figure <= goal)

    def _add(self, what, figure, sign, goal, unit, met):
        verdict = "not measured" if figure is None else "met" if met else "missed"
        self.lines.append((what, "-" if figure is None else number(figure) + unit, f"{sign} {goal:,}{unit}", verdict))

    def show(self):
        if not self.lines:
            return
        print()
        head("what", "figure", "goal", "")
        for line in self.lines:
            row(*line)


def number(figure):
    """As many digits as such a figure deserves."""
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.1f}" if figure >= 10 else f"{figure:.2f}"


def compile_program(name, *libraries):
    """Compiles a C program of this folder, if that is needed; returns the path of the binary."""
    folder = ROOT / ".build/benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    binary, source = folder / name, ROOT / "Benchmarks" / f"{name}.c"
    if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
        subprocess.run(["gcc", "-std=gnu11", "-O2", "-o", binary, source, *libraries], check=True)
    return binary


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
