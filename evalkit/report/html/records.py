"""The samples of a page as plain JSON.

Samples of several runs with the same task, protocol and id share one record, so that the page can show their
answers side by side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.report.html.entries import ListEntry, SampleFigure, SampleFigures, list_entry, told
from evalkit.runfile.records import AGAIN
from evalkit.runfile.sample_records import LONGEST, AskedRequest, Generation, SampleRecord, SampleRecords
from evalkit.runfile.store import Cell, Store
from evalkit.samples import JSON, ToolCall

Steps = Callable[[SampleRecord], list[JSON] | None]
"""A function from a sample to the steps from its reference to its transcript; None if it has none."""


@dataclass(frozen=True, slots=True)
class BenchmarkSamples:
    """A benchmark and its samples in all runs. `runs`: by run; None for a run without the benchmark.

    `graded`: by run; None if its answers are right or wrong.
    """

    name: str
    runs: tuple[SampleRecords | None, ...]
    steps: tuple[Steps | None, ...]
    graded: tuple[SampleFigures | None, ...]

    def ids(self) -> list[str]:
        """The ids of the samples of all runs, in the order of the data."""
        return list(dict.fromkeys(name for run in self.runs if run for name in run.positions))

    def size(self) -> int:
        """The approximate size of a record, in bytes."""
        return sum(run.size() for run in self.runs if run)


@dataclass(frozen=True, slots=True)
class BrowserRecord:
    """A sample in the page. `line`: the data of the list and its filters.

    `answers`, `prompts`: all other data, in two parts because only the answers are searched. `media`: the
    keys of the pictures and clips of the question and of the responses, with the run that has each.
    """

    line: ListEntry
    answers: dict[str, JSON]
    prompts: list[JSON]
    media: Mapping[str, int]


def parts(
    stores: Sequence[Store],
    steps_of: Callable[[Cell], Steps | None],
    graded_of: Callable[[Store, Cell], SampleFigures | None],
) -> list[BenchmarkSamples]:
    """The benchmarks of the runs, in their order; overrides of a protocol do not make a different one."""
    found: dict[str, list[Cell | None]] = {}
    for i, store in enumerate(stores):
        for cell in store.cells():
            if not cell.role:
                name = f"{cell.task}:{cell.protocol}"
                cells = found.setdefault(name, [None] * len(stores))
                cells[i] = cells[i] or cell
    return [
        BenchmarkSamples(
            name,
            tuple(SampleRecords(s, c) if c else None for s, c in zip(stores, cells, strict=True)),
            tuple(steps_of(c) if c else None for c in cells),
            tuple(graded_of(s, c) if c else None for s, c in zip(stores, cells, strict=True)),
        )
        for name, cells in found.items()
    ]


def chosen(found: Sequence[BenchmarkSamples], most: int, budget: int) -> tuple[list[tuple[int, str]], int]:
    """((number of the part, id) of the samples to show, number of all samples).

    These are all samples, or as many as fit if there are more than `most` or they take more than `budget`
    bytes. The choice is by the order of digests, so it is random but the same in every report.
    """
    every = [(number, name) for number, part in enumerate(found) for name in part.ids()]
    sizes = [part.size() for part in found]
    total = sum(sizes[number] for number, _ in every)
    count = min(most, len(every), len(every) * budget // max(1, total) if total > budget else len(every))
    if count == len(every):
        return every, count

    def place(entry: tuple[int, str]) -> bytes:
        return hashlib.sha256(f"{found[entry[0]].name} {entry[1]}".encode()).digest()

    ranked = sorted(every, key=place)
    kept = set(ranked[:count])
    return [entry for entry in every if entry in kept], len(every)


def records(found: Sequence[BenchmarkSamples], among: Sequence[tuple[int, str]]) -> Iterator[BrowserRecord]:
    """Yields the records of the samples in `among`, pairs (number of the part, id)."""
    for number, name in among:
        part = found[number]
        samples: list[SampleRecord | None] = []
        figures: list[SampleFigure | None] = []
        for run, graded in zip(part.runs, part.graded, strict=True):
            at = run.positions.get(name) if run else None
            samples.append(None if run is None or at is None else run.read(at))
            figures.append(None if graded is None or at is None else graded.get(at, SampleFigure()))
        yield browser_record(number, name, samples, part.steps, figures)


def browser_record(
    number: int,
    name: str,
    samples: Sequence[SampleRecord | None],
    steps: Sequence[Steps | None],
    figures: Sequence[SampleFigure | None],
) -> BrowserRecord:
    """The record of one sample. `figures`: None for a run whose answers are right or wrong."""
    first = next(sample for sample in samples if sample is not None)
    media: dict[str, int] = {}
    for i, sample in enumerate(samples):
        for key in sample.media if sample else ():
            media.setdefault(key, i)
    question_media = list(media)
    for i, sample in enumerate(samples):
        for key in _made(sample) if sample else ():
            media.setdefault(key, i)
    answered = [
        None if sample is None else _answer(sample, aligned(sample) if aligned else None, figure)
        for sample, aligned, figure in zip(samples, steps, figures, strict=True)
    ]
    answers: dict[str, JSON] = {
        "input": cut(first.input),
        "target": [cut(text) for text in first.target],
        "choices": [cut(text) for text in first.choices],
        "meta": {key: _meta(value) for key, value in first.meta.items()},
        "media": [*question_media],
        "runs": list(answered),
    }
    return BrowserRecord(
        list_entry(number, name, samples, figures),
        answers,
        [None if sample is None else _prompts(sample) for sample in samples],
        media,
    )


_UNSEARCHED = frozenset(
    {"media", "tokens", "seconds", "alternatives", "steps", "outcome", "figure", "name", "finish"}
)
"""The entries of `BrowserRecord.answers` that a search leaves out, as `list.js` does."""


def searched(value: JSON) -> Iterator[str]:
    """Yields the texts in `BrowserRecord.answers` that a search looks into."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from searched(one)
    elif isinstance(value, dict):
        for key, one in value.items():
            if key not in _UNSEARCHED:
                yield from searched(one)


def _made(sample: SampleRecord) -> Iterator[str]:
    """Yields the keys of the pictures and clips in a sample's responses."""
    for request in sample.requests:
        for draw in request.draws:
            yield from (medium.key for medium in draw.response.media)


def _answer(sample: SampleRecord, steps: list[JSON] | None, figure: SampleFigure | None) -> JSON:
    answer = sample.answer
    return {
        "outcome": told(sample, figure),
        "graded": figure is not None,
        "figure": figure.text if figure else "",
        "boundary": sample.boundary,
        "error": cut(sample.error),
        "readings": {
            "": [_final(final) for final in answer.get("finals", [])],
            **{name: [_final(f) for f in finals] for name, finals in answer.get("variants", {}).items()},
            **{name: [_final(f) for f in finals] for name, finals in answer.get("branches", {}).items()},
        },
        "detail": answer.get("detail", {}),
        "steps": steps,
        "draws": [[_draw(draw) for draw in request.draws] for request in sample.requests],
    }


def _final(final: dict[str, Any]) -> JSON:
    value = final["value"]
    return {**final, "value": None if value is None else cut(value), "reason": cut(final["reason"])}


def _draw(draw: Generation) -> JSON:
    response = draw.response
    found: dict[str, JSON] = {
        "name": "again" if draw.draw == AGAIN else str(draw.draw + 1),
        "text": cut("\n".join(filter(None, (response.text, *map(_call, response.tool_calls))))),
        "finish": response.finish,
        "tokens": [response.prompt_tokens, response.completion_tokens],
        "seconds": response.seconds,
    }
    if response.media:
        found["media"] = [medium.key for medium in response.media]
    if response.reasoning:
        found["reasoning"] = cut(response.reasoning)
    if response.likelihoods:  # JSON has no -inf
        found["likelihoods"] = {
            continuation.text: max(continuation.logprob, -1000.0) for continuation in response.likelihoods
        }
    if draw.alternatives:
        found["alternatives"] = dict(sorted(draw.alternatives.items(), key=lambda item: -item[1])[:20])
    return found


def _prompts(sample: SampleRecord) -> JSON:
    return [_request(request) for request in sample.requests]


def _request(request: AskedRequest) -> JSON:
    body = dict(request.body)
    prompt = body.pop("prompt")
    messages: list[JSON]
    if isinstance(prompt, str):
        messages = [["", [cut(prompt)]]]
    elif isinstance(prompt, list):
        messages = [[message["role"], _message(message)] for message in prompt]
    else:
        messages = [["", [{"audio": prompt.pop("audio")}]]]
        body |= prompt
    return {"messages": messages, "settings": body, "judge": request.judge}


def _message(message: dict[str, Any]) -> list[JSON]:
    calls = [ToolCall(**call) for call in message.get("tool_calls", ())]
    return [*_parts(message["content"]), *(cut(_call(call)) for call in calls)]


def _call(call: ToolCall) -> str:
    return f"→ {call.name} {call.arguments}"


def _parts(content: str | list[dict[str, str]]) -> list[JSON]:
    """The parts of a message: texts, and pictures and clips as `{"image": key}` and `{"audio": key}`."""
    if isinstance(content, str):
        return [cut(content)]
    return [cut(part["text"]) if "text" in part else dict(part) for part in content]


def _meta(value: JSON) -> JSON:
    return cut(value) if isinstance(value, str) else value


def cut(text: str) -> str:
    """`text`, cut after `LONGEST` characters, with the number of characters that were cut."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]} … [{len(text) - LONGEST:,} more characters are in the run file]"
