"""A made benchmark that a judge model scores, for tests: essays with grades from 0 to 5."""

from __future__ import annotations

from pathlib import Path

_TEMPLATE = '''"""Essays, made for a test."""

import re

from evalkit.api import (
    Accuracy, MeanCredit, Message, ModelScorer, Protocol, Records, Sample, Task, Verdict, Variant, task,
)

ROWS = [{{"q": f"essay {{i}}"}} for i in range({count})]


class Essays:
    def open(self, options=None):
        origin = {{"kind": "made", "name": "essays", "where": "here"}}
        return Records(origin, len(ROWS), lambda: iter(ROWS))


def grade(reply):
    found = re.search(r"grade: ([0-5])", reply)
    return int(found[1]) if found else None


async def graded(answer, sample, context):
    prompt = (Message("user", f"Grade this from 0 to 5: {{answer}}"),)
    found = await context.ask(prompt, grade, role={role!r}, attempts=2)
    return Verdict(found >= 3, f"grade {{found}}", found / 5)


SCORER = ModelScorer(score=graded, roles=({role!r},))


@task("essays")
def essays():
    """Essays that a model grades"""
    return Task(
        data=Essays(),
        sample=lambda row: Sample(id=row["q"], input=row["q"], target=()),
        prompt=lambda sample, protocol: (Message("user", f"Write {{sample.input}}."),),
        answer=lambda text, sample: text,
        scorer={judge},
        variants={variants},
        metrics=(MeanCredit("grade"), *{metrics}),
        protocols=(Protocol(name="0-shot"),),
        reference_free=True,
    )
'''


def essays(folder: Path, count: int = 6, *, role: str = "judge", variant: bool = False) -> str:
    """Writes the task file and returns its path. `variant`: the judge model scores a variant, not the headline."""
    judge, variants, metrics = "SCORER", "()", "()"
    if variant:
        judge = "lambda answer, sample: Verdict('1' in answer)"
        variants, metrics = (
            "(Variant(name='graded', scorer=SCORER),)",
            "(MeanCredit('grade', variant='graded'),)",
        )
    path = folder / f"essays-{role}-{variant}.py"
    text = _TEMPLATE.format(count=count, role=role, scorer=score, variants=variants, metrics=metrics)
    path.write_text(text, encoding="utf-8")
    return str(path)
