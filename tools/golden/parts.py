"""Golden cases of the functions of tasks: prompts, extractors, scorers, model extractors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

from evalkit.benchmark.protocol import SIGNED, Protocol
from evalkit.benchmark.task import Task
from evalkit.data import Mapped, Record
from evalkit.identity.declared import declared
from evalkit.samples import Sample
from tools.golden import answers
from tools.golden.calls import Call, Case, plain, referred
from tools.golden.records import read
from tools.golden.small_sets import MOST, samples, tasks
from tools.golden.stories import stories
from tools.golden.themes import theme

PROGRAMS = ("humaneval.scorer", "humanevalplus.scorer", "mbpp.scorer", "mbppplus.scorer")
"""Scorers that run programs."""
SLOW = (*PROGRAMS, "math.scorer", "math.scorer_math_verify")
"""Scorers that need other processes: they get fewer cases."""
FEW = 2
LATER = {"frames": 0, "frame_rule": "middle"}
"""Fields of protocols that are newer than the files: keys of cases leave them out at these defaults."""
GROUPS = {"mmlu": "high_school_us_history"}
"""Groups with a name of several words, for prompts that show the group, if the small set has none."""
THEMES = {
    "ai2d.read_choice": "choices",
    "ai2d.scorer": "choices",
    "bbh": "bbh",
    "boolq": "short",
    "chartqa": "relaxed",
    "docvqa": "docs",
    "drop": "short",
    "contests": "maths",
    "gsm8k": "numbers",
    "humaneval": "code",
    "kv_retrieval": "short",
    "math": "maths",
    "math.scorer": "values",
    "math.scorer_math_verify": "values",
    "math_amc": "letters",
    "mathvista": "mathvista",
    "mbpp": "code",
    "mgsm": "mgsm",
    "mmlu": "letters",
    "mmmlu": "letters",
    "hellaswag.scorer": "letters",
    "mmmu": "mmmu",
    "narrativeqa": "short",
    "nq": "short",
    "qasper": "short",
    "quality": "letters",
    "speech_recognition": "speech",
    "speech_translation": "translation",
    "summaries": "summaries",
    "textvqa": "vqa",
    "tydiqa": "short",
    "translation.reply": "replies",
    "vqa": "vqa",
    "vqa.by_anls": "docs",
    "vqa.by_equality": "docs",
    "vqa.by_relaxed": "relaxed",
    "vqav2": "vqa",
}
"""The themes of inputs, by identity or by the part of its name before the dot."""


def cases(name: str) -> Iterator[Case]:
    """Yields the cases of the identity `name` in the index's tasks, on their samples and on other inputs."""
    seen: list[object] = []
    for label, task in tasks():
        for part, function in _functions(task):
            known = declared(function)
            if known is None or known.name != name:
                continue
            yield from _PARTS[part](label, task, function, name)
            if not any(function is other for other in seen):
                seen.append(function)
                yield from _own(part, function, name)


def _functions(task: Task) -> Iterator[tuple[str, Callable[..., object]]]:
    extractors = [task.answer] if callable(task.answer) else list(task.answer.values())
    extractors += [variant.extract for variant in task.variants if variant.extract]
    found: list[tuple[str, Callable[..., object]]] = [("prompt", task.prompt), ("judge", task.scorer)]
    found += [("extract", one) for one in extractors]
    found += [("judge", variant.scorer) for variant in task.variants if variant.scorer]
    if task.model_extractor:
        found += [("ask", task.model_extractor.prompt), ("extract", task.model_extractor.read)]
    found += [("mapped", one.function) for one in (task.data, task.dev) if isinstance(one, Mapped)]
    unique: list[tuple[str, Callable[..., object]]] = []
    for part, function in found:
        if not any(function is other for _, other in unique):
            unique.append((part, function))
    yield from unique


def _own(part: str, function: Callable[..., object], name: str) -> Iterator[Case]:
    inputs = THEMES.get(name) or THEMES.get(name.partition(".")[0])
    if inputs is None or part in ("prompt", "ask", "mapped") or name in answers.RULES:
        return
    if part == "extract":
        yield from answers.text_and_sample(function, theme(inputs))
    elif name in SLOW:
        if name not in PROGRAMS:
            yield from answers.slowly_judged(function, theme(inputs))
    else:
        yield from answers.judged(function, theme(inputs))


def _prompts(label: str, task: Task, function: Callable[..., object], name: str) -> Iterator[Case]:
    for protocol in task.protocols:
        for form in (protocol, *_forms(protocol, task)):
            values = {key: getattr(form, key) for key in SIGNED}
            signed = {key: plain(one) for key, one in values.items() if key not in LATER or one != LATER[key]}
            chosen = samples(task.name)[: None if form is protocol else FEW]
            for sample in (*chosen, *(_odd(chosen[0], task) if form is protocol else ())):
                call = Call(function, (sample, form))
                yield referred(f"{label}:{protocol.name}", sample.id, [call], [sample, signed])


def _odd(sample: Sample, task: Task) -> Iterator[Sample]:
    """Yields variants of a sample: blanks around the question, another group, more choices, other media."""
    yield dataclasses.replace(sample, input=f" \n{sample.input} \n")
    yield dataclasses.replace(sample, group=GROUPS.get(task.name, sample.group))
    if sample.choices:
        yield dataclasses.replace(sample, choices=tuple(f"choice {number}" for number in range(27)))
    if "image" in task.media:
        yield dataclasses.replace(sample, media=())
        marked = dataclasses.replace(
            sample, input="See <image 2>,\n<image 11>.", choices=("a", "<image 1> b")
        )
        yield dataclasses.replace(marked, media=(sample.media[0],) * 3)


def _forms(protocol: Protocol, task: Task) -> Iterator[Protocol]:
    """Yields the protocol with fewer shots, with a language hint, and with the other API."""
    for shots in range(min(3, protocol.shots)):
        yield dataclasses.replace(protocol, shots=shots)
    if "audio" in task.media:
        yield dataclasses.replace(protocol, language_hint=True)
    if not task.media:
        if protocol.api == "completion":
            yield dataclasses.replace(protocol, api="chat", likelihood="next-token")
        else:
            yield dataclasses.replace(protocol, api="completion")


def _responses(task: Task, sample: Sample, protocol: Protocol) -> list[str]:
    return [task.gold(sample, protocol), *task.wrong_responses(sample, protocol)]


def _extracted(label: str, task: Task, function: Callable[..., object], name: str) -> Iterator[Case]:
    for protocol in task.protocols:
        for sample in samples(task.name):
            calls = [Call(function, (text, sample)) for text in _responses(task, sample, protocol)]
            yield referred(f"{label}:{protocol.name}", f"{sample.id}, gold and wrong", calls, hidden=True)


def _judged(label: str, task: Task, function: Callable[..., object], name: str) -> Iterator[Case]:
    """Yields cases of the answers in gold and wrong responses, and of the previous sample's targets."""
    before: tuple[str, ...] = ()
    for sample in samples(task.name)[: FEW if name in SLOW else None]:
        protocol = task.protocols[0]
        read = [task.extract(protocol)(text, sample) for text in _responses(task, sample, protocol)]
        found = [text for text in read if text is not None]
        if name not in SLOW:
            found += [*sample.target, *before, *sample.choices]
        before = sample.target
        calls = [Call(function, (text, sample)) for text in dict.fromkeys(found)]
        yield referred(label, f"{sample.id}, gold and wrong", calls, hidden=True)


def _asked(label: str, task: Task, function: Callable[..., object], name: str) -> Iterator[Case]:
    asked = Sample("own", "Hint: look.\nQuestion: How many?", ("4",))
    for sample in (*samples(task.name), asked):
        calls = [Call(function, (text, sample)) for text in ("It is 4.", " padded \n", "")]
        yield referred(label, sample.id, calls, hidden=True)


def _mapped(label: str, task: Task, function: Callable[..., object], name: str) -> Iterator[Case]:
    """The records that it makes from the first of its data, and from these twice over."""
    for where in (task.data, task.dev):
        if isinstance(where, Mapped) and where.function is function:
            records = read(task.name, name, where.data, MOST)
            for given in (records, records[:1], [*records, *records]):
                yield referred(label, f"{len(given)} records", [Call(_made, (function, given))])
            if name == "narrativeqa.with_story":
                yield referred(label, "stories", [Call(_made, (function, [*stories(records[0])]))])


def _made(function: Callable[..., Iterable[Record]], records: Sequence[Record]) -> list[Record]:
    return list(function(records))


_PARTS: dict[str, Callable[[str, Task, Callable[..., object], str], Iterator[Case]]] = {
    "ask": _asked,
    "extract": _extracted,
    "judge": _judged,
    "mapped": _mapped,
    "prompt": _prompts,
}
