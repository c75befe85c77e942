"""Reads a sample's answer from its transcript: by rules, and by a judge model if the rules find none."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.readable import SPOKEN, UNREAD, is_readable, unread
from evalkit.benchmark.readers import Extract, Reader, Reading
from evalkit.benchmark.task import ModelExtractor, Task
from evalkit.benchmark.transcript import Transcript
from evalkit.engine.faults import FAULTS, fault
from evalkit.engine.judging import Judging
from evalkit.errors import BoundaryError, ScorerError
from evalkit.samples import Answer, Sample

_Wrap: TypeAlias = Callable[[Extract], Extract]


async def answers(
    task: Task, sample: Sample, protocol: Protocol, transcript: Transcript, judging: Judging | None = None
) -> tuple[Answer, dict[str, Answer]]:
    """Returns the sample's answer, and the answers of each variant with its own extractor or reader.

    `judging`: access to the judge models. Without it, and in variants, only rules are used. Raises
    `BoundaryError`, or what ends the run (`engine.faults`).
    """
    if judging is None or task.model_extractor is None:
        answer = read(task, sample, protocol, transcript)
    else:
        answer = await _extracted_by_model(task, task.model_extractor, sample, protocol, transcript, judging)
    variants = {
        variant.name: read(task, sample, protocol, transcript, extract=variant.extract, reader=variant.reader)
        for variant in task.variants
        if variant.extract is not None or variant.reader is not None
    }
    return answer, variants


def read(
    task: Task,
    sample: Sample,
    protocol: Protocol,
    transcript: Transcript,
    *,
    extract: Extract | None = None,
    reader: Reader | None = None,
    wrap: _Wrap = lambda extract: extract,
) -> Answer:
    """Returns the answer in `transcript`, read with `extract` and `reader`, by default the task's own.

    `wrap`: applied to every extractor, also to those of branches. A response that is too long to be read
    (`benchmark.readable`) has no answer, and the detail counts it. Raises as `answers` does.
    """
    branches = {
        name: read(task, sample, task.protocol(name), inner, wrap=wrap)
        for name, inner in transcript.branches.items()
    }
    found = _of_readable(wrap(extract or task.extract(protocol)))
    reading = Reading(transcript, sample, protocol, found, branches)
    try:
        answer = (reader or protocol.reader)(reading)
    except BoundaryError:
        raise
    except FAULTS as error:
        raise fault(error, "reading") from error
    if not isinstance(answer, Answer) or not answer.finals:
        raise ScorerError(f"reader: must return an Answer with finals, not {answer!r:.80}")
    if count := unread(transcript.responses) + sum(UNREAD in branch.detail for branch in branches.values()):
        answer.detail[UNREAD] = count
    if spoken := next((one.spoken for one in transcript.responses if one.spoken), ()):
        answer.detail[SPOKEN] = [list(piece) for piece in spoken]
    return answer


def _of_readable(extract: Extract) -> Extract:
    def found(text: str, sample: Sample) -> str | None:
        return extract(text, sample) if is_readable(text) else None

    return found


async def _extracted_by_model(
    task: Task,
    model_extractor: ModelExtractor,
    sample: Sample,
    protocol: Protocol,
    transcript: Transcript,
    judging: Judging,
) -> Answer:
    """Reads responses by the rules, and each response in which they find no answer by the judge model."""
    decided: dict[str, str | None] = {}
    without = set[str]()

    def wrap(extract: Extract) -> Extract:
        def found(text: str, sample: Sample) -> str | None:
            if text in decided:
                return decided[text]
            value = extract(text, sample)
            if value is None and text.strip():
                without.add(text)
            return value

        return found

    answer = read(task, sample, protocol, transcript, wrap=wrap)
    if without:
        for text in sorted(without):
            reply = await judging.reply(
                model_extractor.prompt(text, sample), max_tokens=model_extractor.max_tokens
            )
            decided[text] = model_extractor.read(reply.text, sample)
        answer = read(task, sample, protocol, transcript, wrap=wrap)
        answer.detail["extracted by a model"] = len(without)
    return answer
