"""Reads the results of lm-evaluation-harness: a results file and, by `--log_samples`, JSON lines per task.

The format is that of lm-eval 0.4 (loggers/evaluation_tracker.py and evaluator.py); the results file stands
beside the files of samples and has the time of the run in its name, as they have.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from evalkit.errors import UsageError
from evalkit.imports.results import (
    Asked,
    Results,
    Scored,
    Weighted,
    count_of,
    entry,
    exported,
    mapping,
    number_of,
    short,
    text_of,
    without_secrets,
)
from evalkit.imports.stream import lines, whole
from evalkit.samples import JSON

TOOL = "lm-eval"
_SAMPLES = re.compile(r"samples_(?P<task>.+)_(?P<time>\d{4}-\d{2}-\d{2}T[\d.:-]+)\.jsonl")
_RESULTS = re.compile(r"results_(?P<time>\d{4}-\d{2}-\d{2}T[\d.:-]+)\.json")
_LOG_IT = "run lm-eval with --log_samples"
_UNSIGNED = frozenset(
    ("task", "task_alias", "tag", "group", "group_alias", "metadata", "dataset_kwargs", "unsafe_code")
)
"""Entries of a task's configuration that do not decide a figure, or hold the model's arguments and paths."""
WEIGHTED = {
    "word_perplexity": Weighted("words"),
    "byte_perplexity": Weighted("bytes"),
    "bits_per_byte": Weighted("bytes", bits=True),
}
"""Metrics whose samples are (log-probability, units) (api/metrics.py: weighted_perplexity, bits_per_byte)."""
_INVALID = ("[invalid]", "[fallback]")
"""What lm-eval's regex filters return if they find nothing (filters/extraction.py)."""
_QUESTIONS = (
    "question",
    "query",
    "problem",
    "input",
    "prompt",
    "ctx",
    "text",
    "goal",
    "sentence",
    "instruction",
)
"""Usual names of the question among the fields of a document."""


def is_samples(path: Path) -> bool:
    return _SAMPLES.fullmatch(path.name) is not None


def is_results(path: Path) -> bool:
    return _RESULTS.fullmatch(path.name) is not None


def read(paths: Sequence[Path]) -> Iterator[Results]:
    """Yields the tasks of results files and files of samples.

    A results file stands for all files of samples of its run in its folder. Raises `UsageError`.
    """
    done = set[Path]()
    for path in paths:
        if is_results(path):
            time = _time(path)
            files = [one for one in sorted(path.parent.glob("samples_*.jsonl")) if _time(one) == time]
            if not files:
                raise UsageError(f"{path} has no files of samples beside it: {_LOG_IT}")
        else:
            files = [path]
        for file in files:
            if file.resolve() not in done:
                done.add(file.resolve())
                yield _results(file)


def _time(path: Path) -> str:
    found = _SAMPLES.fullmatch(path.name) or _RESULTS.fullmatch(path.name)
    return found["time"] if found else ""


def _results(path: Path) -> Results:
    """Returns the results of the task whose samples are in `path`."""
    named = _SAMPLES.fullmatch(path.name)
    if named is None:
        raise UsageError(
            f"{path}: lm-eval's files of samples are called samples_TASK_TIME.jsonl; the task and the "
            "results file beside it are found by that name: give the file its name back"
        )
    task, beside = named["task"], path.with_name(f"results_{named['time']}.json")
    if not beside.is_file():
        raise UsageError(
            f"{path}: {beside.name}, which says what model and settings these samples are of, is not beside "
            "it"
        )
    told = mapping(whole(beside), str(beside), "the document")
    where = str(beside)
    configs = mapping(
        entry(told, "configs", where, dict, "is it a results file of lm-eval?"), where, "configs"
    )
    config = mapping(configs.get(task, {}), where, f"configs.{task}")
    run = mapping(told.get("config") or {}, where, "config")
    sizes = mapping(told.get("n-samples") or {}, where, "n-samples").get(task) or {}
    higher = mapping(told.get("higher_is_better") or {}, where, "higher_is_better").get(task) or {}
    shots = count_of((told.get("n-shot") or {}).get(task)) or 0
    return Results(
        tool=TOOL,
        task=task,
        model=text_of(told.get("model_name")) or text_of(run.get("model")) or "unknown model",
        where=str(path),
        samples=functools.partial(_samples, path, bool(told.get("chat_template"))),
        settings=_settings(told, config, run, task, shots),
        identity={
            "source": text_of(told.get("model_source")),
            "arguments": without_secrets(run.get("model_args")),
        },
        printed=dict(_printed((told.get("results") or {}).get(task))),
        weighted=dict(WEIGHTED),
        lower=frozenset(str(name) for name, up in higher.items() if up is False),
        shots=shots,
        of=count_of(sizes.get("original")),
        limit=count_of(sizes.get("effective")) if run.get("limit") is not None else None,
        expected=count_of(sizes.get("effective")),
    )


def _settings(
    told: Mapping[str, Any], config: Mapping[str, Any], run: Mapping[str, Any], task: str, shots: int
) -> dict[str, JSON]:
    own: dict[str, JSON] = {
        name: short(value) for name, value in config.items() if name not in _UNSIGNED and value is not None
    }
    versions = told.get("versions") or {}
    found: dict[str, JSON] = {
        "version": text_of(told.get("lm_eval_version")),
        "task version": versions.get(task),
        "shots": shots,
        "chat_template": "the model's" if told.get("chat_template") else None,
        "fewshot_as_multiturn": told.get("fewshot_as_multiturn") or None,
        "system_instruction": short(told.get("system_instruction")),
        "gen_kwargs": run.get("gen_kwargs") or None,
    }
    return {**own, **{name: value for name, value in found.items() if value is not None}}


def _printed(results: object) -> Iterator[tuple[str, float]]:
    """Yields lm-eval's own figures without their standard errors, by the names that the samples have."""
    if isinstance(results, dict):
        for name, value in results.items():
            metric, mark, reading = name.partition(",")
            figure = number_of(value)
            if mark and figure is not None and not metric.endswith("_stderr"):
                yield _name(metric, reading), figure


def _name(metric: str, reading: str) -> str:
    return metric if reading in ("", "none") else f"{metric},{reading}"


def _samples(path: Path, templated: bool) -> Iterator[Scored]:
    for where, value in lines(path):
        record = mapping(value, where, "a sample")
        yield _sample(record, where, templated)


def _sample(record: Mapping[str, Any], where: str, templated: bool) -> Scored:
    name = entry(record, "doc_id", where, (int, str), "is it a file of lm-eval's --log_samples?")
    reading = text_of(record.get("filter")) or "none"
    filtered, doc = record.get("filtered_resps"), record.get("doc")
    arguments, resps = _arguments(record.get("arguments")), record.get("resps")
    asked = tuple(_asked(arguments, resps if isinstance(resps, list) else []))
    choices = tuple(text for one in asked for text, _, _ in one.likelihoods)
    metrics = record.get("metrics")
    if not isinstance(metrics, list):  # before lm-eval 0.4.9 they are the entries that nothing else is
        metrics = [key for key in record if key not in _FIELDS]
    values, weights = dict[str, float](), dict[str, float]()
    for metric in map(str, metrics):
        value = record.get(metric)
        if metric in WEIGHTED and isinstance(value, list) and len(value) == 2:
            weight = number_of(value[1])
            if weight is None or weight <= 0:
                continue
            weights[_name(metric, reading)], value = weight, value[0]
        if (number := number_of(value)) is not None:
            values[_name(metric, reading)] = number
    answer = _answer(filtered, choices)
    error = "" if values else text_of(record.get("error"))  # only evalkit's exports have one
    if error and not any(one.text for one in asked):
        asked = ()  # it failed before there was a response
    return Scored(
        id=str(name),
        where=where,
        input=_question(doc),
        target=(_target(record.get("target"), choices),),
        choices=choices,
        meta={"doc": doc} if doc is not None else {},
        reading=reading,
        answer=None if answer in _INVALID else answer,
        values=values,
        weights=weights,
        asked=asked,
        compared=not templated,
        error=error,
        **exported(record.get("evalkit")),
    )


_FIELDS = frozenset(
    (
        "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash",
        "prompt_hash", "target_hash", "error", "evalkit",
    )
)  # fmt: skip


def _arguments(found: object) -> list[list[Any]]:
    """Returns the arguments of each request: a prompt, and a continuation or the settings of generation."""
    if isinstance(found, dict):  # {"gen_args_0": {"arg_0": …, "arg_1": …}}
        found = [list(one.values()) if isinstance(one, dict) else one for one in found.values()]
    return [one if isinstance(one, list) else [one] for one in found] if isinstance(found, list) else []


def _asked(arguments: Sequence[Sequence[Any]], resps: Sequence[Any]) -> Iterator[Asked]:
    """Yields the requests with their responses: one for all continuations of a prompt."""
    likelihoods, prompt = list[tuple[str, float | None, bool | None]](), None
    for number, of in enumerate(resps):
        given = arguments[number] if number < len(arguments) else []
        draws = of if isinstance(of, list) else [of]
        first = draws[0] if draws else ""
        if isinstance(first, list | tuple):  # (log-probability, whether greedy)
            prompt = given[0] if given else ""
            greedy = str(first[1]) == "True" if len(first) > 1 else None
            likelihoods.append((text_of(given[1]) if len(given) > 1 else "", _float(first[0]), greedy))
            continue
        texts = tuple(map(text_of, draws))
        yield Asked(prompt=_prompt(given[0] if given else ""), text=text_of(first), more=texts[1:])
    if likelihoods:
        yield Asked(prompt=_prompt(prompt), likelihoods=tuple(likelihoods))


def _float(value: object) -> float | None:
    try:
        return number_of(float(str(value)))
    except ValueError:
        return None


def _prompt(given: object) -> JSON:
    """Returns a prompt as a text, or as messages if it is a chat: lm-eval logs that as JSON in a list."""
    if isinstance(given, list | tuple) and len(given) == 1:
        given = given[0]
    if isinstance(given, str) and given.startswith("[{"):
        try:
            turns = orjson.loads(given)
        except ValueError:
            return given
        if isinstance(turns, list) and all(isinstance(turn, dict) and "role" in turn for turn in turns):
            return [{"role": str(turn["role"]), "content": text_of(turn.get("content"))} for turn in turns]
    return text_of(given)


def _answer(filtered: object, choices: Sequence[str]) -> str | None:
    """Returns what was scored: the filtered response, or the likeliest continuation."""
    if choices and isinstance(filtered, list):
        found = [_float(one[0]) if isinstance(one, list) and one else None for one in filtered]
        known = [(value, -at) for at, value in enumerate(found) if value is not None]
        return choices[-max(known)[1]] if known and len(found) == len(choices) else None
    if isinstance(filtered, list) and len(filtered) == 1:
        filtered = filtered[0]
    return None if filtered is None else text_of(filtered)


def _target(target: object, choices: Sequence[str]) -> str:
    text = text_of(target)
    if choices and text.isdecimal() and int(text) < len(choices):
        return choices[int(text)]
    return text


def _question(doc: object) -> str:
    if isinstance(doc, dict):
        for name in _QUESTIONS:
            if isinstance(doc.get(name), str):
                return str(doc[name])
    return text_of(doc)
