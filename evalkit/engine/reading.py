"""From a sample's transcript to its answer: by rules, and where these find none by a judge model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from evalkit.benchmark.protocol import Protocol
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
    """The sample's answer, and what each variant that reads responses in its own way makes of them.

    `judging`: the way to the judge models; without it, and in variants, rules alone read. Raises
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
    """The answer in `transcript`, read with `extract` and `reader` or else the task's own.

    `wrap`: what is made of every extractor, also of branches. Raises as `answers` does.
    """
    branches = {
        name: read(task, sample, task.protocol(name), inner, wrap=wrap)
        for name, inner in transcript.branches.items()
    }
    reading = Reading(transcript, sample, protocol, wrap(extract or task.extract(protocol)), branches)
    try:
        answer = (reader or protocol.reader)(reading)
    except BoundaryError:
        raise
    except FAULTS as error:
        raise fault(error, "reading") from error
    if not isinstance(answer, Answer) or not answer.finals:
        raise ScorerError(f"reader: it returned no Answer with finals, but {answer!r:.80}")
    return answer


async def _extracted_by_model(
    task: Task,
    model_extractor: ModelExtractor,
    sample: Sample,
    protocol: Protocol,
    transcript: Transcript,
    judging: Judging,
) -> Answer:
    """Read by the rules; each response that they find nothing in is read by the judge model."""
    decided: dict[str, str | None] = {}
    unread = set[str]()

    def wrap(extract: Extract) -> Extract:
        def found(text: str, sample: Sample) -> str | None:
            if text in decided:
                return decided[text]
            value = extract(text, sample)
            if value is None and text.strip():
                unread.add(text)
            return value

        return found

    answer = read(task, sample, protocol, transcript, wrap=wrap)
    if unread:
        for text in sorted(unread):
            reply = await judging.reply(
                model_extractor.prompt(text, sample), max_tokens=model_extractor.max_tokens
            )
            decided[text] = model_extractor.read(reply.text, sample)
        answer = read(task, sample, protocol, transcript, wrap=wrap)
        answer.detail["extracted by a model"] = len(unread)
    return answer
