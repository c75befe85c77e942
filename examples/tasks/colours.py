"""A question about a video, and about clips of it."""

from pathlib import Path

from evalkit.api import Accuracy, Local, Message, Protocol, Sample, Task, Verdict, Video, ask_once, task

CLIPS = Path(__file__).with_name("clips") / "clips.csv"
COLOURS = ("red", "green", "blue")


def to_sample(record):
    clip = Video.of(record["video"], float(record["start"]), float(record["end"]))
    return Sample(record["id"], record["question"], (record["answer"],), media=(clip,))


def listed(text, sample):
    """The colours that are named, in order."""
    said = text.casefold().replace(",", " ").replace(".", " ").split()
    return " ".join(word for word in said if word in COLOURS) or None


@task("colours")
def colours():
    """Colours in a video, in order"""
    return Task(
        data=Local(CLIPS, columns=("id", "video", "start", "end"), paths=("video",)),
        sample=to_sample,
        prompt=lambda sample, protocol: (Message("user", (*sample.media, sample.input)),),
        answer=listed,
        scorer=lambda answer, sample: Verdict(answer == sample.target[0]),
        metrics=(Accuracy(),),
        protocols=(Protocol(name="16-frames", solver=ask_once, frames=16, max_tokens=32),),
        media=("video",),
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("white", ""),
    )
