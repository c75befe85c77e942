"""Writes the results of another tool into a run file."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

import orjson

import evalkit
from evalkit.benchmark.protocol import ProtocolSettings
from evalkit.benchmark.signature import digest
from evalkit.benchmark.spec import CellSpec
from evalkit.errors import BoundaryError, UsageError
from evalkit.imports.answers import score_of
from evalkit.imports.results import Asked, Results, Scored, Weighted
from evalkit.imports.staged import Measured, Staged
from evalkit.metrics.base import Traits
from evalkit.metrics.spec import MetricSpec
from evalkit.metrics.stored import stored_metric
from evalkit.models.base import Finish, Likelihood, Response
from evalkit.runfile.encoding import question_digest
from evalkit.runfile.figures import figures
from evalkit.runfile.records import FAILED, Cell, CellData, Link, Row, StoredFigure
from evalkit.runfile.store import Store
from evalkit.samples import JSON, Sample, plain_text
from evalkit.scratch import replacing

_FINISHES: Mapping[str, Finish] = {"stop": "stop", "length": "length", "filter": "filter"}
TABLE = "table"
_CLOSE = 1e-6
"""The greatest relative difference between a tool's printed figure and the mean of its samples."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A task that was imported. `failed`: samples with an error. `notes`: what the user should know."""

    task: str
    protocol: str
    samples: int
    failed: int
    notes: tuple[str, ...]


def write(found: Iterable[Results], output: Path, model: str = "", task: str = "") -> Iterator[Imported]:
    """Writes the run file `output` and yields its tasks as they are done; it appears once all of them are.

    `model`, `task`: the names of the model, and of the task of a table, in place of the files'. Raises
    `UsageError` if `output` exists, if the results are of several models, or if a file is not as it should
    be; then nothing is left behind.
    """
    if output.exists():
        raise UsageError(f"{output} already exists: remove it, or name another file")
    first: Results | None = None
    store: Store | None = None
    seen: dict[tuple[str, str], str] = {}
    written = 0
    try:
        with replacing(output) as part, ExitStack() as opened:
            for results in found:
                if task:
                    if results.tool != TABLE:
                        raise UsageError(f"--task names the task of a table, and {results.where} is no table")
                    results = replace(results, task=task)
                results = replace(results, task=plain_text(results.task))
                if first is None:
                    first = results
                    store = opened.enter_context(Store.create(part, _manifest(results, model)))
                assert store is not None
                _check(first, results, seen)
                done = _cell(store, results)
                written += done.samples
                yield done
                store.commit()
            if not written:
                raise UsageError("these files have no sample with a score that is a number")
    except (OSError, sqlite3.Error) as error:
        raise UsageError(f"cannot write {output}: {error}") from None


def _check(first: Results, results: Results, seen: dict[tuple[str, str], str]) -> None:
    if results.model != first.model:
        raise UsageError(
            f"a run file holds the results of one model, but {first.where} is of {first.model!r} and "
            f"{results.where} of {results.model!r}: import them into a file each"
        )
    key = (results.task, results.tool)
    if key in seen:
        raise UsageError(
            f"both {seen[key]} and {results.where} hold results of {results.task}: import them into "
            "a file each"
        )
    seen[key] = results.where


def _manifest(results: Results, model: str) -> dict[str, JSON]:
    name = model or results.model
    identity = {"imported": results.tool, "model": results.model, **results.identity}
    return {
        "model": {"name": plain_text(name), "identity": identity},
        "judges": {},
        "seed": 0,
        "evalkit": evalkit.__version__,
    }


def _cell(store: Store, results: Results) -> Imported:
    with closing(Staged(results.where)) as staged:
        for one in results.samples():
            staged.add(one)
        measured = staged.measured()
        if not staged.samples:
            raise UsageError(f"{results.where} has no samples of {results.task}")
        if not measured:
            note = (
                "left out: no sample has a score that is a number, so there is nothing to average or compare"
            )
            return Imported(results.task, results.tool, 0, 0, (note,))
        specs = [_metric(results, one) for one in measured]
        cell = store.add_cell(_spec(results, staged, specs))
        notes = (*results.notes, *_printed(results, measured))
        store.set_found(cell, {"notes": list(notes)} if notes else {})
        failed = 0
        for position, readings in staged.groups():
            row = _row(store, cell, results, measured, position, readings)
            failed += row.outcome == FAILED
            store.add_sample(cell, row, fresh=True)
        if results.finished:
            data = store.data(cell)
            asked = max(staged.samples, results.expected or 0)
            store.finish(cell, asked, _figures(specs, data))
        return Imported(results.task, results.tool, staged.samples, failed, notes)


def _spec(results: Results, staged: Staged, metrics: Sequence[MetricSpec]) -> CellSpec:
    return CellSpec(
        task=results.task,
        source=f"imported:{results.tool}",
        protocol=ProtocolSettings(name=results.tool, shots=results.shots),
        metrics=tuple(metrics),
        data={"kind": "imported", "name": results.task, "where": results.where},
        imported={
            "imported": f"{results.tool} {results.settings.get('version', '')}".strip(),
            "task": results.task,
            **{name: value for name, value in results.settings.items() if name != "version"},
        },
        records=results.of,
        limit=results.limit,
        wanted=results.expected or staged.samples,
        summary=f"Imported ({results.tool}): the questions were asked and the answers scored elsewhere.",
    )


def _metric(results: Results, one: Measured) -> MetricSpec:
    """Returns the mean of the samples' values: in percent if all of them are between 0 and 1."""
    if (weighted := results.weighted.get(one.name)) is not None:
        return _weighted(one.name, weighted)
    share = one.least >= 0 and one.greatest <= 1
    unit = "%" if share else ""
    return MetricSpec(
        name=one.name,
        unit=unit,
        higher_is_better=one.name.partition(",")[0] not in results.lower,
        columns=("value", "samples"),
        identity=f"mean of {one.name}{' in percent' if share else ''}",
        traits=Traits(outcome="right or wrong" if one.whole else "answered", denominator="samples"),
        scale=100.0 if share else 1.0,
    )


def _weighted(name: str, weighted: Weighted) -> MetricSpec:
    columns = ("log-probability", weighted.units)
    traits = Traits(whole_corpus=True, outcome="answered", denominator=weighted.units, any_range=True)
    return MetricSpec(
        name=name,
        unit="",
        higher_is_better=False,
        columns=columns,
        identity=f"{name} per {weighted.units}",
        traits=traits,
        kind="" if weighted.bits else "perplexity",
        parameters={} if weighted.bits else {"variant": "", "columns": list(columns)},
        scale=-1 / math.log(2) if weighted.bits else None,
    )


def _figures(specs: Sequence[MetricSpec], data: CellData) -> list[StoredFigure]:
    """Returns the figures by the names of the imported metrics, whose columns follow each other."""
    found, start = list[StoredFigure](), 0
    for spec in specs:
        metric, end = stored_metric(spec), start + len(spec.columns)
        assert metric is not None
        found += [replace(one, metric=spec.name) for one in figures(metric, data.matrix[:, start:end], data)]
        start = end
    return found


def _own_mean(one: Measured, weighted: Weighted | None) -> float:
    """Returns the figure as the tool prints it, from the mean of the samples."""
    if weighted is None:
        return one.mean
    return -one.mean / math.log(2) if weighted.bits else math.exp(min(-one.mean, 700.0))


def _printed(results: Results, measured: Sequence[Measured]) -> Iterator[str]:
    means = {one.name: _own_mean(one, results.weighted.get(one.name)) for one in measured}
    for name, figure in results.printed.items():
        if name not in means:
            yield (
                f"{name} ({figure:.6g} in {results.tool}'s results) is left out: it has no value for each "
                "sample that it is the mean of"
            )
        elif not math.isclose(means[name], figure, rel_tol=_CLOSE, abs_tol=_CLOSE):
            yield (
                f"{name} is {figure:.6g} in {results.tool}'s results, and the mean of its samples is "
                f"{means[name]:.6g}"
            )


def _row(
    store: Store,
    cell: Cell,
    results: Results,
    measured: Sequence[Measured],
    position: int,
    readings: Sequence[Scored],
) -> Row:
    one = readings[0]
    sample = Sample(
        id=plain_text(one.id),
        input=plain_text(one.input),
        target=tuple(map(plain_text, one.target)),
        choices=tuple(map(plain_text, one.choices)),
        group=plain_text(one.group),
        cluster=plain_text(one.cluster),
        meta=one.meta,
    )
    try:
        question = question_digest(sample)
        links = tuple(_links(store, cell, results, sample, readings))
    except (BoundaryError, ValueError, TypeError) as error:
        raise UsageError(f"{one.where}: {error}") from None
    prompts = [asked.prompt for asked in one.asked] if one.compared else []
    row = {
        "sample": sample,
        "position": position,
        "question": question,
        "asked": digest(orjson.loads(plain_json(prompts))),
    }
    ended = [reading for reading in readings if not reading.error]
    values = {
        name: found
        for name in (one.name for one in measured)
        if (found := [reading.values[name] for reading in ended if name in reading.values])
    }
    if not values:
        broken = next((reading for reading in readings if reading.error), None)
        why = broken.error if broken else f"{results.tool} gave it no score"
        boundary = broken.boundary if broken else "scorer"
        return Row(**row, outcome=FAILED, boundary=boundary, error=why, links=links)  # type: ignore[arg-type]
    weights = {
        name: _mean([reading.weights.get(name, 1.0) for reading in ended if name in reading.values])
        for name in values
    }
    statistics = tuple(
        number
        for metric in measured
        for number in (
            (_mean(values[metric.name]), weights[metric.name]) if metric.name in values else (0.0, 0.0)
        )
    )
    headline = next(metric.name for metric in measured if metric.name in values)
    score = score_of(ended, headline, failed=len({r.draw for r in readings} - {r.draw for r in ended}))
    return Row(**row, outcome=score.outcome, statistics=statistics, answer=score.as_json(), links=links)  # type: ignore[arg-type]


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _links(
    store: Store, cell: Cell, results: Results, sample: Sample, readings: Sequence[Scored]
) -> Iterator[Link]:
    """Stores the requests and responses of a sample, and yields the links to them."""
    done = set[tuple[int, int]]()
    for reading in readings:
        for turn, asked in enumerate(reading.asked):
            place = (turn, reading.draw)
            if place in done:
                continue  # another filter of the same response
            done.add(place)
            body = _body(results, sample, turn, asked)
            key = digest(orjson.loads(body))
            for number, text in enumerate((asked.text, *asked.more)):
                draw = reading.draw * (1 + len(asked.more)) + number
                store.add_response(key, body, draw, cell, sample.id, _response(asked, text))
                yield Link(turn, draw, key)


def _body(results: Results, sample: Sample, turn: int, asked: Asked) -> bytes:
    """Returns a request as it is stored. No request that evalkit makes is equal to it."""
    body: dict[str, JSON] = {
        "api": "chat" if isinstance(asked.prompt, list) else "completion",
        "prompt": asked.prompt,
        "imported": {"tool": results.tool, "task": results.task, "sample": sample.id, "turn": turn},
    }
    if asked.likelihoods:
        body["continuations"] = [text for text, _, _ in asked.likelihoods]
    return plain_json(body)


def plain_json(value: JSON) -> bytes:
    """Returns `value` as canonical JSON, with U+FFFD for unpaired surrogates."""
    from evalkit.runfile.encoding import dump

    return orjson.dumps(orjson.loads(dump(value)), option=orjson.OPT_SORT_KEYS)


def _response(asked: Asked, text: str) -> Response:
    return Response(
        text=text,
        finish=_FINISHES.get(asked.finish, "other"),
        prompt_tokens=asked.prompt_tokens,
        completion_tokens=asked.completion_tokens,
        seconds=asked.seconds,
        reasoning=asked.reasoning,
        likelihoods=tuple(
            Likelihood(plain_text(text), -math.inf if logprob is None else logprob, None, greedy)
            for text, logprob, greedy in asked.likelihoods
        ),
    )
