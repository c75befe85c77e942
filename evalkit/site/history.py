"""The history of benchmarks over runs. Figures are in one line only if their signatures are the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalkit.runfile.records import natural
from evalkit.site.contents import Headline
from evalkit.site.folder import Run


@dataclass(frozen=True, slots=True)
class Point:
    """A finished figure of a run."""

    run: Run
    headline: Headline


@dataclass(frozen=True, slots=True)
class Line:
    """The figures of one benchmark, protocol and signature, the oldest first."""

    points: tuple[Point, ...]

    @property
    def last(self) -> Headline:
        return self.points[-1].headline

    @property
    def before_last(self) -> tuple[Run, Run] | None:
        """The last run and the one before it, (base, head); None if there is only one."""
        return (self.points[-2].run, self.points[-1].run) if len(self.points) > 1 else None


def lines_of(runs: Iterable[Run], task: str = "") -> list[Line]:
    """The lines of all benchmarks, or of one `task`: in natural order, and the newest of a protocol first."""
    found: dict[tuple[str, str, str], list[Point]] = {}
    for run in sorted(runs, key=lambda run: (run.began, run.name)):
        for one in run.contents.headlines:
            if one.lasts and task in ("", one.task):
                found.setdefault((*one.key, one.signature), []).append(Point(run, one))
    lines = [Line(tuple(points)) for points in found.values()]
    lines.sort(key=lambda line: line.points[-1].run.began, reverse=True)
    return sorted(lines, key=lambda line: (natural(line.last.task), natural(line.last.protocol)))


def predecessors(runs: Sequence[Run]) -> dict[str, Run]:
    """By the name of each finished run, the finished run before it that has a line in common with it.

    It is of the same model if there is one, else of any. `runs`: the newest first.
    """
    found = {}
    ended = [(run, _signed(run)) for run in runs if run.state == "finished"]
    for at, (head, mine) in enumerate(ended):
        earlier = [run for run, signed in ended[at + 1 :] if not mine.isdisjoint(signed)]
        same = (run for run in earlier if run.contents.model == head.contents.model)
        if earlier:
            found[head.name] = next(same, earlier[0])
    return found


def compared_pairs(runs: Sequence[Run]) -> list[tuple[Run, Run]]:
    """The pairs of runs, (base, head), that the index leads to: `predecessors`, and the ends of lines."""
    heads = {run.name: run for run in runs}
    pairs = [(base, heads[name]) for name, base in predecessors(runs).items()]
    pairs += [line.before_last for line in lines_of(runs) if line.before_last]
    return list({(base.name, head.name): (base, head) for base, head in pairs}.values())


def _signed(run: Run) -> set[tuple[str, str, str]]:
    return {(*one.key, one.signature) for one in run.contents.headlines if one.signature}
