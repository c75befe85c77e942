"""A made benchmark with pictures, for tests: the colour of a square, as a task file loaded by path."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image as Pillow

COLOURS = {"red": (255, 0, 0), "green": (0, 128, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}
_TEMPLATE = '''"""Colours of squares, made for a test."""

from pathlib import Path

from evalkit.api import (
    Accuracy, Image, Message, Protocol, Records, ModelExtractor, Sample, Task, Verdict, ask_once, majority_vote,
    task,
)

FOLDER = Path({folder!r})
ROWS = {rows!r}


class Squares:
    def open(self, options=None):
        origin = {{"kind": "made", "name": "squares", "where": "here"}}
        return Records(origin, len(ROWS), lambda: iter(ROWS))


def to_sample(row):
    target = (row["colour"],) if row["colour"] else ()
    media = tuple(Image.of(FOLDER / name) for name in row["files"])
    meta = {{"number": row["number"]}}
    return Sample(id=row["id"], input="Which colour?", target=target, media=media, meta=meta)


def prompt(sample, protocol):
    return (Message("user", ("Look: ", *sample.media, f"{{sample.input}} ({{sample.id}})")),)


def colour(text, sample):
    return text if text in ("red", "green", "blue", "white") else None


def submission(answers):
    return [{{"n": one.meta["number"], "answer": one.answer or ""}} for one in answers]


def ask_judge(text, sample):
    return (Message("user", f"Name the colour only. {{text}}"),)


@task("squares")
def squares(*, split: str = "open"):
    """Squares"""
    return Task(
        data=Squares(),
        sample=to_sample,
        prompt=prompt,
        answer=colour,
        scorer=lambda answer, sample: Verdict(answer == sample.target[0]),
        metrics=(Accuracy(),),
        protocols=(
            Protocol(name="once", solver=ask_once),
            Protocol(name="maj", reader=majority_vote, draws=3, temperature=0.7),
        ),
        media=("image",),
        model_extractor=ModelExtractor(prompt=ask_judge, read=colour),
        submission=submission,
        gold=lambda sample, protocol: sample.target[0] if sample.target else "red",
        wrong_responses=lambda sample, protocol: ("mauve",),
    )
'''


def square(colour: str, size: tuple[int, int] = (64, 64), kind: str = "PNG") -> bytes:
    """A picture of one colour."""
    out = BytesIO()
    Pillow.new("RGB", size, COLOURS[colour]).save(out, kind)
    return out.getvalue()


def album(folder: Path, pictures: dict[str, bytes], rows: list[tuple[str, str, list[str]]]) -> str:
    """Writes the pictures and the task file; returns its path, as `-t` takes it.

    `rows`: (id, colour or "" where it is not public, files) of each sample.
    """
    for name, data in pictures.items():
        (folder / name).write_bytes(data)
    listed = [
        {"id": identifier, "colour": colour, "files": files, "number": number}
        for number, (identifier, colour, files) in enumerate(rows)
    ]
    path = folder / "squares.py"
    path.write_text(_TEMPLATE.format(folder=str(folder), rows=listed), encoding="utf-8")
    return str(path)
