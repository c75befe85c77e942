"""What the page's browser shows of a sample, as plain JSON.

Questions of several runs stand in one record where task, protocol and id are the same, so that their answers
can be read side by side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.runfile.records import AGAIN, told_outcomes
from evalkit.runfile.sample_records import LONGEST, AskedRequest, Generation, SampleRecord, SampleRecords
from evalkit.runfile.store import Cell, Store
from evalkit.samples import JSON, ToolCall

Steps = Callable[[SampleRecord], list[JSON] | None]
"""A sample of speech → the steps from its reference to its transcript, None where there is none."""
Graded = Mapping[int, str]
"""By position, a sample's own figure in words, of a benchmark whose answers are more than right or wrong."""
SHORT = 96
"""Characters of a question in the list."""
VALUE = 40
"""Characters of an answer in the list."""


@dataclass(frozen=True, slots=True)
class Part:
    """A benchmark in the browser: its samples in all runs. `runs`: by run, None where it has none.

    `graded`: by run, None where its answers are right or wrong.
    """

    name: str
    runs: tuple[SampleRecords | None, ...]
    steps: tuple[Steps | None, ...]
    graded: tuple[Graded | None, ...]

    def ids(self) -> list[str]:
        """Every sample of any run, in the order of the data."""
        return list(dict.fromkeys(name for run in self.runs if run for name in run.positions))

    def size(self) -> int:
        """About how many bytes a record takes."""
        return sum(run.size() for run in self.runs if run)


@dataclass(frozen=True, slots=True)
class Line:
    """A sample in the list. `part`: its benchmark's number.

    `outcomes`, `values`, `figures`: by run, "" without one.

    `disputed`: the extractors or judges of a run part on it.
    """

    part: int
    id: str
    groups: tuple[str, ...]
    outcomes: tuple[str, ...]
    disputed: bool
    question: str
    values: tuple[str, ...]
    figures: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """`line`: what the list and its filters need. `answers`, `prompts`: the rest, apart for searching.

    `media`: keys of what it shows and plays, and of what models made, with the run that has each.
    """

    line: Line
    answers: dict[str, JSON]
    prompts: list[JSON]
    media: Mapping[str, int]


def parts(
    stores: Sequence[Store],
    steps_of: Callable[[Cell], Steps | None],
    graded_of: Callable[[Store, Cell], Graded | None],
) -> list[Part]:
    """The benchmarks of the runs, in their order; overrides of a protocol do not make another one."""
    found: dict[str, list[Cell | None]] = {}
    for i, store in enumerate(stores):
        for cell in store.cells():
            if not cell.role:
                name = f"{cell.task}:{cell.protocol}"
                cells = found.setdefault(name, [None] * len(stores))
                cells[i] = cells[i] or cell
    return [
        Part(
            name,
            tuple(SampleRecords(s, c) if c else None for s, c in zip(stores, cells, strict=True)),
            tuple(steps_of(c) if c else None for c in cells),
            tuple(graded_of(s, c) if c else None for s, c in zip(stores, cells, strict=True)),
        )
        for name, cells in found.items()
    ]


def chosen(found: Sequence[Part], most: int, room: int) -> tuple[list[tuple[int, str]], int]:
    """((number of the part, id) of the samples to show, how many there are).

    All of them, or where they are more than `most`, or take more than `room` bytes, as many as there is
    room for: those whose digests come first, which is a random choice and the same in every report.
    """
    every = [(number, name) for number, part in enumerate(found) for name in part.ids()]
    sizes = [part.size() for part in found]
    total = sum(sizes[number] for number, _ in every)
    count = min(most, len(every), len(every) * room // max(1, total) if total > room else len(every))
    if count == len(every):
        return every, count

    def place(entry: tuple[int, str]) -> bytes:
        return hashlib.sha256(f"{found[entry[0]].name} {entry[1]}".encode()).digest()

    ranked = sorted(every, key=place)
    kept = set(ranked[:count])
    return [entry for entry in every if entry in kept], len(every)


def records(found: Sequence[Part], among: Sequence[tuple[int, str]]) -> Iterator[Record]:
    """The records of the samples `among` those of the parts."""
    for number, name in among:
        part = found[number]
        asked: list[SampleRecord | None] = []
        figures: list[str | None] = []
        for run, graded in zip(part.runs, part.graded, strict=True):
            at = run.positions.get(name) if run else None
            asked.append(None if run is None or at is None else run.read(at))
            figures.append(None if graded is None or at is None else graded.get(at, ""))
        yield _record(number, name, asked, part.steps, figures)


def _record(
    number: int,
    name: str,
    asked: Sequence[SampleRecord | None],
    steps: Sequence[Steps | None],
    figures: Sequence[str | None],
) -> Record:
    """`figures`: None where an answer is right or wrong."""
    first = next(one for one in asked if one is not None)
    media: dict[str, int] = {}
    for i, one in enumerate(asked):
        for key in one.media if one else ():
            media.setdefault(key, i)
    asked_about = list(media)
    for i, one in enumerate(asked):
        for key in _made(one) if one else ():
            media.setdefault(key, i)
    answered = [
        None if one is None else _answer(one, aligned(one) if aligned else None, figure)
        for one, aligned, figure in zip(asked, steps, figures, strict=True)
    ]
    question = " ".join(first.input[: 4 * SHORT].split())
    line = Line(
        part=number,
        id=name,
        groups=tuple(group for group in (first.group, *first.tags) if group),
        outcomes=tuple(_outcome(o, figure) if o else "" for o, figure in zip(asked, figures, strict=True)),
        disputed=any(_disputed(one) for one in asked if one),
        question=question[:SHORT],
        values=tuple(_value(one) if one else "" for one in asked),
        figures=tuple(figure or "" for figure in figures),
    )
    answers: dict[str, JSON] = {
        "input": cut(first.input),
        "target": [cut(text) for text in first.target],
        "choices": [cut(text) for text in first.choices],
        "meta": {key: _meta(value) for key, value in first.meta.items()},
        "media": [*asked_about],
        "runs": list(answered),
    }
    return Record(line, answers, [None if one is None else _prompts(one) for one in asked], media)


def _made(asked: SampleRecord) -> Iterator[str]:
    """Keys of the pictures and clips in a sample's responses."""
    for asked_request in asked.requests:
        for drawn in asked_request.draws:
            yield from (one.key for one in drawn.response.media)


def _outcome(asked: SampleRecord, figure: str | None) -> str:
    return next(iter(told_outcomes({asked.outcome: 1}, right_or_wrong=figure is None)))


def _answer(asked: SampleRecord, steps: list[JSON] | None, figure: str | None) -> JSON:
    answer = asked.answer
    return {
        "outcome": _outcome(asked, figure),
        "graded": figure is not None,
        "figure": figure or "",
        "boundary": asked.boundary,
        "error": cut(asked.error),
        "readings": {
            "": [_final(final) for final in answer.get("finals", [])],
            **{name: [_final(f) for f in finals] for name, finals in answer.get("variants", {}).items()},
            **{name: [_final(f) for f in finals] for name, finals in answer.get("branches", {}).items()},
        },
        "detail": answer.get("detail", {}),
        "steps": steps,
        "draws": [[_draw(draw) for draw in asked_request.draws] for asked_request in asked.requests],
    }


def _final(final: dict[str, Any]) -> JSON:
    value = final["value"]
    return {**final, "value": None if value is None else cut(value), "reason": cut(final["reason"])}


def _draw(draw: Generation) -> JSON:
    said = draw.response
    found: dict[str, JSON] = {
        "name": "again" if draw.draw == AGAIN else str(draw.draw + 1),
        "text": cut("\n".join(filter(None, (said.text, *map(_call, said.tool_calls))))),
        "finish": said.finish,
        "tokens": [said.prompt_tokens, said.completion_tokens],
        "seconds": said.seconds,
    }
    if said.media:
        found["media"] = [one.key for one in said.media]
    if said.reasoning:
        found["reasoning"] = cut(said.reasoning)
    if said.likelihoods:  # JSON has no -inf
        found["likelihoods"] = {one.text: max(one.logprob, -1000.0) for one in said.likelihoods}
    if draw.alternatives:
        found["alternatives"] = dict(sorted(draw.alternatives.items(), key=lambda item: -item[1])[:20])
    return found


def _prompts(asked: SampleRecord) -> JSON:
    return [_request(asked_request) for asked_request in asked.requests]


def _request(asked_request: AskedRequest) -> JSON:
    body = dict(asked_request.body)
    prompt = body.pop("prompt")
    messages: list[JSON]
    if isinstance(prompt, str):
        messages = [["", [cut(prompt)]]]
    elif isinstance(prompt, list):
        messages = [[message["role"], _message(message)] for message in prompt]
    else:
        messages = [["", [{"audio": prompt.pop("audio")}]]]
        body |= prompt
    return {"messages": messages, "settings": body, "judge": asked_request.judge}


def _message(message: dict[str, Any]) -> list[JSON]:
    calls = [ToolCall(**call) for call in message.get("tool_calls", ())]
    return [*_parts(message["content"]), *(cut(_call(call)) for call in calls)]


def _call(call: ToolCall) -> str:
    return f"→ {call.name} {call.arguments}"


def _parts(content: str | list[dict[str, str]]) -> list[JSON]:
    """Texts as they are, pictures and clips as `{"image": key}` and `{"audio": key}`."""
    if isinstance(content, str):
        return [cut(content)]
    return [cut(part["text"]) if "text" in part else dict(part) for part in content]


def _disputed(asked: SampleRecord) -> bool:
    answer = asked.answer
    readings = [answer.get("finals", []), *answer.get("variants", {}).values()]
    return len({tuple(final["correct"] for final in finals) for finals in readings}) > 1


def _value(asked: SampleRecord) -> str:
    """The answer in a few characters, "" where there is none."""
    values = [final["value"] for final in asked.answer.get("finals", []) if final["value"] is not None]
    return " ".join(values[0][: 4 * VALUE].split())[:VALUE] if values else ""


def _meta(value: JSON) -> JSON:
    return cut(value) if isinstance(value, str) else value


def cut(text: str) -> str:
    """`text`, without what is beyond `LONGEST` characters; it says how many those are."""
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]} … [{len(text) - LONGEST:,} more characters are in the run file]"
