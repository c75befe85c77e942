"""A made benchmark with a tool, for tests: sums that a model may give to a calculator, turn by turn."""

from __future__ import annotations

from pathlib import Path

_TEMPLATE = '''"""Sums with a calculator, made for a test."""

import time
from pathlib import Path

from evalkit.scoring import final_number, stated_number, same_number
from evalkit.api import (
    Accuracy, Message, Protocol, Records, Sample, Task, Verdict, Variant, each_draw_of, first_draw,
    majority_vote, task,
)

LOG = Path({log!r})
ROWS = [{{"q": f"{{i}} + {{i % 7}}", "a": str(i + i % 7)}} for i in range({count})]


class Sums:
    def open(self, options=None):
        origin = {{"kind": "made", "name": "sums", "where": "here"}}
        return Records(origin, len(ROWS), lambda: iter(ROWS))


def calculate(expression):
    async def run():
        time.sleep({seconds})
        with LOG.open("a") as log:
            log.write(expression + "\\n")
        left, right = expression.split("+")
        return str(int(left) + int(right))

    return run


def prompt(sample, protocol):
    return (Message("user", f"Say CALC: a + b to use the calculator. What is {{sample.input}}?"),)


async def with_calculator(context):
    async def loop(draw):
        messages = context.prompt
        reply = await context.ask(messages, draw=draw)
        for _ in range({turns}):
            if not reply.text.startswith("CALC:"):
                return
            asked = reply.text[5:].strip()
            found = await context.tool("calculator", asked, calculate(asked), draw=draw)
            messages = (*messages, Message("assistant", reply.text), Message("user", f"It gives {{found}}."))
            reply = await context.ask(messages, draw=draw, follows=reply)

    await each_draw_of(context, loop)


@task("calculator")
def calculator():
    """Sums with a calculator"""
    return Task(
        data=Sums(),
        sample=lambda row: Sample(id=row["q"], input=row["q"], target=(row["a"],)),
        prompt=prompt,
        answer=final_number,
        scorer=lambda answer, sample: Verdict(same_number(answer, sample.target[0])),
        variants=(Variant(name="stated", extract=stated_number), Variant(name="first", reader=first_draw)),
        metrics=(Accuracy(), Accuracy(variant="stated"), Accuracy(variant="first")),
        protocols=(
            Protocol(name="tool", solver=with_calculator),
            Protocol(
                name="maj", solver=with_calculator, reader=majority_vote, draws=3, temperature=0.7
            ),
        ),
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("-1",),
    )
'''


def calculator(folder: Path, count: int = 12, *, turns: int = 2, seconds: float = 0.0) -> tuple[str, Path]:
    """Writes the task file and a log of what the tool is used for; their paths."""
    path, log = folder / "calculator.py", folder / "used.txt"
    written = _TEMPLATE.format(log=str(log), count=count, turns=turns, seconds=seconds)
    path.write_text(written, encoding="utf-8")
    log.touch()
    return str(path), log
