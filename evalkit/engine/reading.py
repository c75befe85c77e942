"""From a sample's transcript to its answer: by rules, and where these find none by a judge model."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.readers import Extract, Reader, Reading
from evalkit.benchmark.task import Referee, Task
from evalkit.benchmark.transcript import Transcript
from evalkit.engine.faults import FAULTS, fault
from evalkit.engine.judging import Judging
from evalkit.errors import BoundaryError, ScorerError
from evalkit.samples import Answer, Sample

_Wrap: TypeAlias = Callable[[Extract], Extract]


async def answers(
    task: Task, sample: Sample, protocol: Protocol, transcript: Transcript, judging: Judging | None = None
) -> tuple[Answer, dict[str, Answer]]:
    """The sample's answer, and what each view that reads responses in its own way makes of them.

    `judging`: the way to the judge models; without it, and in views, rules alone read. Raises
    `BoundaryError`, or what ends the run (`engine.faults`).
    """
    if judging is None or task.referee is None:
        answer = read(task, sample, protocol, transcript)
    else:
        answer = await _refereed(task, task.referee, sample, protocol, transcript, judging)
    views = {
        view.name: read(task, sample, protocol, transcript, extract=view.extract, reader=view.reader)
        for view in task.views
        if view.extract is not None or view.reader is not None
    }
    return answer, views


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


async def _refereed(
    task: Task,
    referee: Referee,
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
            reply = await judging.reply(referee.prompt(text, sample), max_tokens=referee.max_tokens)
            decided[text] = referee.read(reply.text, sample)
        answer = read(task, sample, protocol, transcript, wrap=wrap)
        answer.detail["refereed"] = len(unread)
    return answer
