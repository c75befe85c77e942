"""One sample of a run as text: what was asked, what was answered, what was read from it, and the verdict."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from evalkit.benchmark.readable import SPOKEN
from evalkit.errors import counted
from evalkit.report.failures import failure_lines
from evalkit.runfile.records import AGAIN, FAILED
from evalkit.runfile.sample_records import Generation, SampleRecord
from evalkit.runfile.store import Cell
from evalkit.samples import JSON

_AROUND = 40
"""The characters that are shown before and after what was read."""
_LONGEST = 100
"""The digits of a number that is looked for with and without commas."""


def sample_text(cell: Cell, sample: SampleRecord, sent: Sequence[tuple[JSON, int]]) -> str:
    """The sample, in sections. `sent`: each request that was sent now, and how often."""
    parts = [_heading(f"sample {sample.id} of {cell.task}:{cell.spec.protocol.label}")]
    if sent:
        for request, count in sent:
            parts += [_heading("request, as sent" + (f" {count} times" if count > 1 else "")), _json(request)]
    else:
        for asked in sample.requests:
            parts += [_heading("request, as stored: nothing was sent now"), _json(asked.body)]
    for number, asked in enumerate(sample.requests):
        for drawn in asked.draws:
            of = "judge's response" if asked.judge else f"{asked.tool}'s result" if asked.tool else "response"
            which = f" to request {number + 1}" if len(sample.requests) > 1 else ""
            parts += [_heading(f"{of}{which}{_draw(drawn, len(asked.draws))}"), *_response(drawn)]
    parts += [_heading("read"), *_read(cell, sample)]
    parts += [_heading("verdict"), *_verdict(cell, sample)]
    return "\n".join(parts) + "\n"


def _response(drawn: Generation) -> Iterator[str]:
    response = drawn.response
    if response.reasoning:
        yield f"[reasoning]\n{response.reasoning}\n[response]"
    yield response.text
    for call in response.tool_calls:
        yield f"→ {call.name} {call.arguments}"
    for medium in response.media:
        yield f"[{medium.mime}, {medium.key[:8]}]"
    for one in response.likelihoods:
        yield f"log-likelihood {one.logprob:.4f}: {one.text!r}"
    for token, logprob in list(drawn.alternatives.items())[:10]:
        yield f"first token, log-probability {logprob:.4f}: {token!r}"
    counts = (("prompt", response.prompt_tokens), ("response", response.completion_tokens))
    tokens = [f"{counted(count, 'token')} of the {name}" for name, count in counts if count is not None]
    yield f"({', '.join([f'finish: {response.finish}', *tokens, f'{response.seconds:.2f} s'])})"


def _read(cell: Cell, sample: SampleRecord) -> Iterator[str]:
    spec, answer = cell.spec, sample.answer
    yield f"by {spec.extract or 'the reader'} and {spec.reader}"
    texts = [
        drawn.response.text
        for asked in sample.requests
        if not (asked.judge or asked.tool)
        for drawn in asked.draws
        if drawn.draw != AGAIN
    ]
    for name, finals in _readings(answer):
        for final in finals:
            of = f"{name}: " if name else ""
            yield of + ("no answer" if final["value"] is None else _from(str(final["value"]), texts))
    if sample.outcome == FAILED:
        yield "nothing: the sample failed"
    if detail := {key: value for key, value in answer.get("detail", {}).items() if key != SPOKEN}:
        yield f"detail: {_json(detail)}"


def _from(value: str, texts: Sequence[str]) -> str:
    """The value with the place where a response has it last."""
    # Readers leave out the commas of numbers, and some of them the case.
    digits = value.isdigit() and len(value) <= _LONGEST
    written = re.compile((",?" if digits else "").join(map(re.escape, value)), re.IGNORECASE)
    for number, text in enumerate(texts if value else ()):
        if (found := next(iter(deque(written.finditer(text), maxlen=1)), None)) is not None:
            before, after = (
                text[max(0, found.start() - _AROUND) : found.start()],
                text[found.end() :][:_AROUND],
            )
            which = f" of response {number + 1}" if len(texts) > 1 else ""
            shown = " ".join(f"{before}»{found[0]}«{after}".split())
            return f"{value}   from character {found.start() + 1}{which}: {shown}"
    return f"{value}   (no response has it in this form)"


def _verdict(cell: Cell, sample: SampleRecord) -> Iterator[str]:
    yield sample.outcome + (f": {sample.boundary}: {sample.error}" if sample.outcome == FAILED else "")
    for name, finals in _readings(sample.answer):
        for final in finals:
            said = {True: "right", False: "wrong", None: "not judged"}[final["correct"]]
            credit = f", credit {final['credit']:g}" if "credit" in final else ""
            why = f": {final['reason']}" if final.get("reason") else ""
            yield f"{name + ': ' if name else ''}{said}{credit}{why}"
            yield from failure_lines(final)
    yield f"counts as right: {' | '.join(sample.target) or 'not public'}"
    yield f"by {cell.spec.scorer}"


def _readings(answer: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    yield "", answer.get("finals", [])
    yield from answer.get("variants", {}).items()
    yield from answer.get("branches", {}).items()


def _draw(drawn: Generation, of: int) -> str:
    if drawn.draw == AGAIN:
        return ", asked again"
    return f", draw {drawn.draw + 1}" if of > 1 else ""


def _json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _heading(text: str) -> str:
    return f"── {text} " + "─" * max(0, 70 - len(text))
