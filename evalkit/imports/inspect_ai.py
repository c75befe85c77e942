"""Reads Inspect's logs: `.eval` archives and `.json` files.

The format is that of inspect_ai 0.3 (log/_log.py, log/_recorders/). An archive has `header.json`, or while it
is written `_journal/start.json`, and one member for each sample and epoch. Inspect counts C as 1, P as a
half, I and N as 0, and leaves a score that is NaN out (scorer/_metric.py); so does this reader.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.errors import UsageError
from evalkit.imports.archive import Archive
from evalkit.imports.results import (
    Asked,
    Results,
    Scored,
    count_of,
    entry,
    exported,
    mapping,
    number_of,
    short,
    text_of,
    without_secrets,
)
from evalkit.imports.stream import members, parsed
from evalkit.samples import JSON

TOOL = "inspect"
_VALUES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_NO_ANSWER = "N"
_ATTACHED = "attachment://"
_FINISHES = {"stop": "stop", "max_tokens": "length", "model_length": "length", "content_filter": "filter"}
_HEADER = ("version", "status", "eval", "plan", "results", "error")
_FIX = "is it a log of Inspect?"
_MEANS = ("accuracy", "mean")
_UNSIGNED_CONFIG = frozenset(
    (
        "fail_on_error", "continue_on_fail", "sandbox_cleanup", "log_samples", "log_realtime", "log_images",
        "score_display", "max_samples", "max_tasks", "max_subprocesses", "max_sandboxes", "log_buffer",
        "log_shared", "retry_on_error", "log_model_api", "sandbox_prebuilt", "limit", "sample_id",
        "sample_shuffle",
    )
)  # fmt: skip
"""Entries of Inspect's configuration that do not decide a figure, or that the samples themselves show."""
_UNSIGNED_GENERATE = frozenset(
    ("max_connections", "max_retries", "timeout", "attempt_timeout", "cache", "batch")
)


def read(paths: Sequence[Path]) -> Iterator[Results]:
    """Yields the results of each log. Raises `UsageError`."""
    for path in paths:
        yield _archive(path) if path.suffix == ".eval" else _document(path)


def _archive(path: Path) -> Results:
    with Archive(path) as archive:
        names = archive.names
        header = next((name for name in ("header.json", "_journal/start.json") if name in names), "")
        if not header:
            raise UsageError(f"{path} has no header.json: {_FIX}")
        told = mapping(parsed(archive.read(header), f"{path}: {header}"), f"{path}: {header}", "the header")
        samples = [name for name in names if name.startswith("samples/") and name.endswith(".json")]
    return _results(path, told, functools.partial(_members, path, samples), finished=header == "header.json")


def _members(path: Path, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    with Archive(path) as archive:
        for name in names:
            where = f"{path}: {name}"
            yield where, parsed(archive.read(name), where)


def _document(path: Path) -> Results:
    told: dict[str, Any] = {}
    for name, _, value in members(path, lambda name: name in (*_HEADER, "samples")):
        if name == "samples":  # they come after the header
            break
        told[name] = value
    return _results(path, told, lambda: _listed(path), finished=True)


def _listed(path: Path) -> Iterator[tuple[str, Any]]:
    return (
        (where, value)
        for name, where, value in members(path, lambda name: name == "samples")
        if name == "samples"
    )


def _results(
    path: Path, told: Mapping[str, Any], samples: Callable[[], Iterator[tuple[str, Any]]], *, finished: bool
) -> Results:
    where = str(path)
    run = mapping(entry(told, "eval", where, dict, _FIX), where, "eval")
    data = mapping(run.get("dataset") or {}, where, "eval.dataset")
    config = mapping(run.get("config") or {}, where, "eval.config")
    reducers = config.get("epochs_reducer")
    notes: tuple[str, ...] = ()
    if isinstance(reducers, list) and reducers != ["mean"]:
        notes = (
            f"Inspect put the epochs of a sample together by {', '.join(map(str, reducers))}; here a "
            "sample's value is the mean of its epochs",
        )
    return Results(
        tool=TOOL,
        task=text_of(entry(run, "task", where, str, _FIX)).rpartition("/")[2],
        model=text_of(entry(run, "model", where, str, _FIX)),
        where=where,
        samples=lambda: _scored(samples()),
        settings=_settings(told, run, config),
        identity={"arguments": without_secrets(run.get("model_args"))},
        printed={} if notes else dict(_printed(told.get("results"))),
        of=count_of(data.get("samples")),
        limit=_limit(config.get("limit")),
        expected=len(asked) if isinstance(asked := data.get("sample_ids"), list) else None,
        finished=finished and told.get("status") == "success",
        notes=notes,
    )


def _limit(limit: object) -> int | None:
    """Returns the number of samples of `--limit`, which may also be a range."""
    if isinstance(limit, list) and len(limit) == 2 and all(isinstance(one, int) for one in limit):
        return max(0, int(limit[1]) - int(limit[0]))
    return count_of(limit)


def _settings(told: Mapping[str, Any], run: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, JSON]:
    generate = without_secrets(run.get("model_generate_config"))
    plan = told.get("plan") if isinstance(told.get("plan"), dict) else {}
    assert isinstance(plan, dict)
    generate |= without_secrets(plan.get("config"))
    steps: list[JSON] = [
        {"solver": step.get("solver"), "params": step.get("params")}
        for step in plan.get("steps") or []
        if isinstance(step, dict)
    ]
    packages = run.get("packages") if isinstance(run.get("packages"), dict) else {}
    assert isinstance(packages, dict)
    scorers: list[JSON] = [
        {"name": one.get("name"), "options": one.get("options")}
        for one in run.get("scorers") or []
        if isinstance(one, dict)
    ]
    found: dict[str, JSON] = {
        "version": text_of(packages.get("inspect_ai")),
        "task version": run.get("task_version"),
        "task arguments": short(run.get("task_args") or None),
        "solvers": short(steps),
        "scorers": short(scorers),
        "system_message": short(generate.pop("system_message", None)),
    }
    found |= {name: short(value) for name, value in generate.items() if name not in _UNSIGNED_GENERATE}
    found |= {
        name: short(value)
        for name, value in config.items()
        if name not in _UNSIGNED_CONFIG and value is not False
    }
    return {name: value for name, value in found.items() if value is not None}


def _printed(results: object) -> Iterator[tuple[str, float]]:
    """Yields Inspect's own means, by the names that the samples' scores have."""
    if not isinstance(results, dict):
        return
    for score in results.get("scores") or []:
        if isinstance(score, dict) and isinstance(score.get("metrics"), dict):
            name, scorer = text_of(score.get("name")), text_of(score.get("scorer"))
            for metric in score["metrics"].values():
                figure = number_of(metric.get("value")) if isinstance(metric, dict) else None
                if figure is not None and metric.get("name", "").rpartition("/")[2] in _MEANS:
                    yield name if name == scorer else f"{scorer}.{name}", figure


def _scored(samples: Iterator[tuple[str, Any]]) -> Iterator[Scored]:
    for where, value in samples:
        yield from _sample(mapping(value, where, "a sample"), where)


def _sample(record: Mapping[str, Any], where: str) -> Iterator[Scored]:
    name = entry(record, "id", where, (str, int), "each sample of Inspect has an id")
    epoch = count_of(record.get("epoch", 1))
    if not epoch:
        raise UsageError(f"{where}: the epoch must be a number from 1 on, not {record.get('epoch')!r}")
    attached = record.get("attachments")
    texts = _Texts(attached if isinstance(attached, dict) else {})
    target, choices, metadata = record.get("target"), record.get("choices"), record.get("metadata")
    common: dict[str, Any] = {
        "id": str(name),
        "where": where,
        "draw": epoch - 1,
        "input": texts.plain(_last(record.get("input"))),
        "target": tuple(map(texts.plain, target)) if isinstance(target, list) else (texts.plain(target),),
        "choices": tuple(map(texts.plain, choices)) if isinstance(choices, list) else (),
        "asked": (_asked(record, texts),),
        **exported(metadata.get("evalkit") if isinstance(metadata, dict) else None),
    }
    if record.get("error"):
        message = record["error"].get("message") if isinstance(record["error"], dict) else record["error"]
        if not common["asked"][0].text:
            common["asked"] = ()  # it failed before there was a response
        yield Scored(**common, error=text_of(message) or "an error without a message")
        return
    scores = record.get("scores") or ({"score": record["score"]} if record.get("score") else {})
    found = False
    for scorer, score in mapping(scores, where, "scores").items():
        if isinstance(score, dict):
            found = True
            answer = None if score.get("value") == _NO_ANSWER else score.get("answer")
            plain = texts.plain(answer) if answer is not None else None
            if plain is None and score.get("value") != _NO_ANSWER:
                plain = common["asked"][0].text
            yield Scored(
                **common,
                reading=scorer,
                answer=plain,
                reason=texts.plain(score.get("explanation")),
                values=dict(_values(scorer, score.get("value"))),
            )
    if not found:
        yield Scored(**common, error="Inspect gave it no score", boundary="scorer")


def _values(scorer: str, value: object) -> Iterator[tuple[str, float]]:
    """Yields the numbers of a score: of a dict or a list, one for each entry."""
    if isinstance(value, dict):
        pairs = [(f"{scorer}.{name}", one) for name, one in value.items()]
    elif isinstance(value, list):
        pairs = [(f"{scorer}.{at}", one) for at, one in enumerate(value)]
    else:
        pairs = [(scorer, value)]
    for name, one in pairs:
        number = _VALUES.get(one, _VALUES.get(one.casefold())) if isinstance(one, str) else number_of(one)
        if number is None and isinstance(one, str):
            try:
                number = number_of(float(one))
            except ValueError:
                number = None
        if number is not None:
            yield name, number


class _Texts:
    """Returns contents as texts. Inspect stores long texts once for a sample and refers to them."""

    def __init__(self, attached: Mapping[str, Any]) -> None:
        self._attached = attached

    def plain(self, content: object) -> str:
        if isinstance(content, list):
            return "\n".join(filter(None, map(self._part, content)))
        text = text_of(content)
        if text.startswith(_ATTACHED):
            return text_of(self._attached.get(text.removeprefix(_ATTACHED), text))
        return text

    def _part(self, part: object) -> str:
        if not isinstance(part, dict):
            return self.plain(part)
        kind = part.get("type")
        if kind == "text":
            return self.plain(part.get("text"))
        return "" if kind == "reasoning" else f"[{kind}]"

    def reasoning(self, content: object) -> str:
        parts = content if isinstance(content, list) else []
        return "\n".join(
            self.plain(part.get("reasoning"))
            for part in parts
            if isinstance(part, dict) and part.get("type") == "reasoning"
        )


def _last(given: object) -> object:
    """Returns the question: the input, or its last message of the user."""
    if isinstance(given, list):
        turns = [turn for turn in given if isinstance(turn, dict) and turn.get("role") == "user"]
        return turns[-1].get("content") if turns else ""
    return given


def _asked(record: Mapping[str, Any], texts: _Texts) -> Asked:
    """Returns the last request: the messages before the response, and the response itself."""
    output = record.get("output") if isinstance(record.get("output"), dict) else {}
    assert isinstance(output, dict)
    choices = [one for one in output.get("choices") or [] if isinstance(one, dict)]
    said = choices[0].get("message") if choices and isinstance(choices[0].get("message"), dict) else {}
    assert isinstance(said, dict)
    turns = [turn for turn in record.get("messages") or [] if isinstance(turn, dict)]
    if turns and turns[-1].get("role") == "assistant":
        turns = turns[:-1]
    usage = output.get("usage") if isinstance(output.get("usage"), dict) else {}
    assert isinstance(usage, dict)
    prompt: list[JSON] = [
        {"role": text_of(turn.get("role")), "content": texts.plain(turn.get("content"))} for turn in turns
    ]
    return Asked(
        prompt=prompt,
        text=texts.plain(said.get("content")) or texts.plain(output.get("completion")),
        reasoning=texts.reasoning(said.get("content")),
        finish=_FINISHES.get(text_of(choices[0].get("stop_reason")), "other") if choices else "stop",
        prompt_tokens=count_of(usage.get("input_tokens")),
        completion_tokens=count_of(usage.get("output_tokens")),
        seconds=number_of(output.get("time")) or 0.0,
    )


def is_log(path: Path) -> bool:
    """Whether a `.json` file begins as a log of Inspect does."""
    first = itertools.islice(members(path, lambda name: name in _HEADER), 3)
    found = {name: value for name, _, value in first}
    return "version" in found and isinstance(found.get("eval"), dict)
