"""Golden cases of metrics: their attributes, the statistics of samples, and the figures of sums of these."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from evalkit.benchmark.task import Task
from evalkit.identity.declared import code_identity, declared
from evalkit.metrics.accuracy import Accuracy
from evalkit.metrics.base import Metric, Scored, Traits, traits_of
from evalkit.metrics.bleu import Bleu, ChrF
from evalkit.metrics.error_rate import ErrorRate, Over100
from evalkit.metrics.guessing import GuessingAccuracy
from evalkit.metrics.log_loss import LogLoss
from evalkit.metrics.macro import Macro
from evalkit.metrics.macro import measured as inner_of
from evalkit.metrics.mean_credit import MeanCredit
from evalkit.metrics.mean_value import MeanValue
from evalkit.metrics.pass_at_k import PassAtK
from evalkit.metrics.perplexity import Perplexity
from evalkit.metrics.share_of_samples import ShareOfSamples
from evalkit.metrics.spec import MetricSpec
from evalkit.metrics.stored import StoredRatio
from evalkit.samples import JSON, Answer, Final, Sample
from tools.golden.calls import BLOCK, Call, Case, each, referred
from tools.golden.small_sets import samples, tasks
from tools.golden.themes import theme

SHAPE = ("name", "unit", "higher_is_better", "columns", "least_draws", "variant")
"""The attributes of a metric that the cases record; attributes that are added later are not recorded."""
LATER: Mapping[type, Sequence[str]] = {LogLoss: ("any_range", "own_units", "denominator")}
"""Traits that were added later, of metrics that were added with them."""
TRAITS = ("whole_corpus", "best", "outcome", "average", "unbounded", "right_or_wrong")
OWN: tuple[Metric, ...] = (
    Accuracy(),
    Accuracy(variant="strict"),
    Bleu(),
    Bleu("char"),
    Bleu("zh"),
    ChrF(),
    ErrorRate(),
    ErrorRate("CER", "substitutions", units="character"),
    ErrorRate(only="deletions", normaliser="none", units="word"),
    ErrorRate(only="insertions", normaliser="whisper-basic", units="whisper"),
    Over100(),
    Over100("over", "none", "character"),
    GuessingAccuracy(),
    GuessingAccuracy(variant="strict"),
    MeanCredit("credit"),
    MeanCredit("credit", variant="strict"),
    MeanValue("score"),
    MeanValue("score", "judged", "points", 20.0, False, 3.0, None, "strict"),
    MeanValue("other", unanswered=-1.0),
    ShareOfSamples("English", "language"),
    ShareOfSamples("none", "no such key"),
    PassAtK(),
    Perplexity(),
    LogLoss(),
    LogLoss("token"),
    PassAtK(2),
    PassAtK(3, variant="strict"),
    Macro(Accuracy(variant="strict")),
    Macro(ErrorRate(only="insertions")),
    Macro(Bleu()),
    Macro(PassAtK(2)),
)
STORED = StoredRatio(
    MetricSpec(
        name="bias (of both)",
        unit="points",
        higher_is_better=False,
        columns=("much", "of", "all"),
        identity="own#0",
        variant="strict",
        traits=Traits(whole_corpus=True, best=0.0, outcome="answered", unbounded=True),
        scale=7.0,
    ),
    least_draws=2,
)
"""A user's metric as it is stored in a run file; a mean over groups may contain one."""
BRANCHES = ("majority", "greedy", "hendrycks", "math-verify", "exact years", "paper", "normalised")
"""Variants and branches of the index's tasks; a metric of another one gets it besides."""
_VALUES = (0.0, 1.0, 2.0, 7.0, 0.5, 100.0, 3.0)


def cases(name: str) -> Iterator[Case]:
    """Yields the cases of the metrics above, and of those that the tasks of the index have."""
    if name == "macro":
        stored = Macro(STORED)
        yield from (_shape(stored, "macro(stored)"), _traits(stored, "macro(stored)"))
        yield from (_shape(STORED, "stored"), _traits(STORED, "stored"))
        yield each([Call(_finish, (stored, _row(3, 3, 1)))], ["macro(stored)"])
    for metric in OWN:
        if _is(metric, name):
            yield from (_shape(metric), _traits(metric))
            # Macro delegates both to its inner metric; a log-loss has a hundred columns.
            most = 2 if isinstance(metric, Macro) else 8 if isinstance(metric, LogLoss) else None
            yield from itertools.islice(_statistics(metric), most)
            yield from itertools.islice(_finished(metric), most)
    for label, task in tasks():
        for metric in task.metrics:
            if _is(metric, name):
                yield from (_shape(metric), _traits(metric))
                yield from _small_set(label, task, metric)


def _is(metric: Metric, name: str) -> bool:
    known = declared(metric)
    return known is not None and known.name == name


def _traits(metric: Metric, identity: str = "") -> Case:
    """The case of a metric's traits, which tables, comparisons and the page use."""
    kept = (*TRAITS, *LATER.get(type(metric), ()))
    call = Call(lambda: [getattr(traits_of(metric), key) for key in kept], ())
    return referred(f"{identity or _parameters(metric)} traits", "tools/golden/measures.py", [call], "traits")


def _shape(metric: Metric, identity: str = "") -> Case:
    identity = identity or _parameters(metric)
    shape = Call(lambda: [getattr(metric, key) for key in SHAPE], ())
    return referred(f"{identity} shape", "tools/golden/measures.py", [shape], "shape")


def _parameters(metric: Metric) -> str:
    """The identity of a metric without its version and those of its packages."""
    known = declared(metric)
    assert known is not None
    return known.name + code_identity(metric).removeprefix(known.text())


def _statistics(metric: Metric) -> Iterator[Case]:
    identity = _parameters(metric)
    for index, (sample, scored) in enumerate(_answers()):
        if isinstance(metric, MeanValue):
            scored = _valued(scored)
        if isinstance(metric, Perplexity) and index % 4:  # every fourth answer has no log-probability
            scored = replace(scored, answer=replace(scored.answer, detail={"logprob": -index / 8}))
        if isinstance(metric, LogLoss) and index % 4:
            octaves = [[1.5 * index, 1.0, 0.0, 0.0], [2.25, index + 1.0, 1.5, 2.5]][: index % 3]
            scored = replace(scored, answer=replace(scored.answer, detail=_by_position(octaves)))
        call = Call(metric.statistics, (sample, scored))
        yield referred(f"{identity} statistics", index, [call])
    if isinstance(metric, Bleu | ChrF | ErrorRate | Over100):
        texts = [Call(_measured, (metric, *one)) for one in _texts()]
        for start in range(0, len(texts), BLOCK):
            part = texts[start : start + BLOCK]
            yield referred(f"{identity} statistics", f"texts from {start} on", part, hidden=True)


def _finished(metric: Metric) -> Iterator[Case]:
    for totals in _totals(len(metric.columns)):
        yield each((Call(_finish, (metric, totals)),), [_parameters(metric), totals])


def _measured(metric: Metric, sample: Sample, scored: Scored) -> object:
    statistics = metric.statistics(sample, scored)
    return [statistics, _finish(metric, statistics)]


def _finish(metric: Metric, totals: Sequence[object]) -> object:
    with np.errstate(all="ignore"):
        return inner_of(metric).finish(np.array(totals, dtype=float))  # type: ignore[attr-defined]


def _answers() -> Iterator[tuple[Sample, Scored]]:
    """Yields one to four answers, right, wrong or missing, to questions with no, two or four choices."""
    for count in (1, 2, 3, 4):
        for right in itertools.product((True, False), repeat=count):
            values = tuple("x" if one or count < 3 else None for one in right)
            for given in ("", "ab", "abcd")[: 3 if count == 3 else 1]:
                meta = {"language": "en"}
                yield Sample("own", "", ("x",), choices=tuple(given), meta=meta), _score(values, right)


def _texts() -> Iterator[tuple[Sample, Scored]]:
    """Yields one answer, or three answers of which one is missing, that differ from their references."""
    for kind, language in (("speech", "en"), ("speech", "zh"), ("translation", "en"), ("translation", "zh")):
        inputs = theme(kind)
        for answer, targets in (*inputs.pairs, *inputs.made_pairs(30)):
            sample = Sample("own", "", targets[:1], meta={"language": language})
            yield sample, _score((answer,), (answer == targets[0],))
            yield sample, _score((answer, None, targets[-1]), (True, False, True))
            yield Sample("own", "", targets, meta=sample.meta), _score((answer,), (True,))


def _by_position(octaves: list[list[float]]) -> dict[str, JSON]:
    byte: list[JSON] = [[nats, 3 * count, *more] for nats, count, *more in octaves]
    return {"by position": {"token": [[*octave] for octave in octaves], "byte": byte}}


def _score(values: tuple[str | None, ...], right: tuple[bool, ...], variant: str = "") -> Scored:
    """`variant`: one of a task's that `BRANCHES` does not have."""
    branches = BRANCHES if variant in ("", "strict", *BRANCHES) else (*BRANCHES, variant)
    wrong = tuple(not one for one in right)
    credit = tuple(0.25 if one else 0.125 * index for index, one in enumerate(right))
    answer = Answer(tuple(Final(value) for value in values))
    variants = {**dict.fromkeys(branches, right), "strict": wrong}
    return Scored(
        answer,
        right,
        variants=variants,
        credits={**dict.fromkeys(branches, credit), "strict": credit[::-1], "": credit},
    )


def _valued(scored: Scored) -> Scored:
    scores = tuple(
        None if final.value is None else {"score": 2.5 - index if right else -0.5 * index}
        for index, (final, right) in enumerate(zip(scored.answer.finals, scored.correct, strict=True))
    )
    return replace(scored, values={"strict": scores[::-1], "": scores})


def _totals(columns: int) -> Iterator[Sequence[object]]:
    """Yields sums, one or several at once. The last column, such as a number of samples, is above zero."""
    for start, step in itertools.product(range(7), (1, 2, 3)):
        one = _row(columns, start, step)
        yield [*one[:-1], one[-1] or 4.0]
    yield [float(columns - index) for index in range(columns)]
    for index, value in itertools.product(range(columns), (1.0, 5.0)):
        yield [value if index == at else 0.0 for at in range(columns)]
    yield [0.0] * columns
    yield [8.0] * columns
    yield [_row(columns, 2, 1), [1.0] * columns, _row(columns, 5, 2)]


def _row(columns: int, start: int, step: int) -> list[float]:
    return [_VALUES[(start + index * step) % len(_VALUES)] for index in range(columns)]


def _small_set(label: str, task: Task, metric: Metric) -> Iterator[Case]:
    """Yields cases of the references and wrong responses of the task's samples, read by the task."""
    protocol = task.protocols[0]
    for sample in samples(task.name):
        texts = [task.gold(sample, protocol), *task.wrong_responses(sample, protocol)]
        values = tuple(task.extract(protocol)(text, sample) for text in texts)
        right = tuple(index == 0 for index in range(len(values)))
        call = Call(metric.statistics, (sample, _score(values, right, metric.variant)))
        yield referred(f"{label} {_parameters(metric)}", sample.id, [call], hidden=True)
