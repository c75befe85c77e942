"""A learned scorer for tests: a logistic regression, its weights, and a benchmark that is judged by it.

Files as a user would lay them out: a task, the module of its scorer beside it, a model and its module.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

FEATURES = 256
ROWS = 40
_SCORER = '''"""A regression over the letters that a candidate and a reference share."""

import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
WEIGHTS = HERE / "weights.npz"


def note(name, text):
    with (HERE / name).open("a") as file:
        file.write(f"{text}\\n")


def shared(pairs):
    """(pairs, features): counts of hashed letter pairs, the lesser of both texts."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        analyzer="char_wb", ngram_range=(1, 2), n_features=FEATURES, norm=None, alternate_sign=False
    )
    left, right = (vectorizer.transform(texts).toarray() for texts in zip(*pairs, strict=True))
    return np.minimum(left, right)


def load():
    note("loads", f"{os.getpid()} {os.environ['EVALKIT_WORKER']}")
    with np.load(WEIGHTS, allow_pickle=False) as held:
        return held["weights"], held["bias"]


def score(model, pairs):
    note("batches", f"{len(pairs)}")
    for candidate, reference in pairs:
        assert (type(candidate), type(reference)) == (str, str)
        fail(candidate)
    time.sleep(0.05)  # as long as a real model takes: what comes meanwhile makes a batch
    weights, bias = model
    scores = 1 / (1 + np.exp(-(shared(pairs) @ weights + bias)))
    return scores * np.array([float("nan") if "NAN" in one else 1.0 for one, _ in pairs])


def fail(candidate):
    if "RAISE" in candidate:
        raise ValueError("the tokenizer knows no such text")
    if "LEAVE" in candidate:
        sys.exit("enough")
    if "DIE" in candidate:
        os._exit(7)
    if "KILL" in candidate:
        os.kill(os.getpid(), signal.SIGKILL)
    if "WAIT" in candidate:
        time.sleep(600)
    if "ONCE" in candidate and not (HERE / "once").exists():
        note("once", "")
        os._exit(7)
'''
_TASK = '''"""Sayings, judged by how much they resemble the reference."""

from pathlib import Path

import letter_regression
from evalkit.api import (
    Learned, MeanCredit, Message, Protocol, Records, Sample, Task, Verdict, ask_once, task,
)

RESEMBLES = Learned(
    letter_regression.load, letter_regression.score,
    model=Path(__file__).with_name("weights.npz"), packages=("scikit-learn",), batch=8,
)


class Sayings:
    def open(self, options=None):
        rows = [{"n": n, "said": f"the {n} grey geese fly over the lake"} for n in range(ROWS)]
        return Records({"kind": "made", "name": "sayings", "where": "here"}, len(rows), lambda: iter(rows))


async def score(answer, sample):
    found = await RESEMBLES(answer, sample.target[0])
    return Verdict(found > 0.5, f"{found:.3f}", found)


@task("sayings")
def sayings():
    """Sayings"""
    return Task(
        data=Sayings(),
        sample=lambda record: Sample(id=str(record["n"]), input=str(record["n"]), target=(record["said"],)),
        prompt=lambda sample, protocol: (Message("user", f"Say {sample.input}"),),
        answer=lambda text, sample: text,
        scorer=score,
        metrics=(MeanCredit("resemblance"),),
        protocols=(Protocol(name="0-shot", solver=ask_once),),
        needs=RESEMBLES.needs,
        gold=lambda sample, protocol: sample.target[0],
        wrong_responses=lambda sample, protocol: ("",),
    )
'''
_MODEL = '''"""Says what its phrase book has."""

import phrase_book


async def speak(prompt):
    return phrase_book.said(int(prompt[-1].content.rpartition(" ")[2]))


speak.identity = {"phrases": 1}
'''
_PHRASES = """WORDS = ("grey geese fly", "geese", "a lake", "nothing at all", "fly over the lake")
HOSTILE = %r


def said(n):
    return HOSTILE.get(n) or f"the {n} {WORDS[n %% len(WORDS)]}"
"""


@dataclass(frozen=True, slots=True)
class Taught:
    """Where the files are, and the regression that scikit-learn fitted."""

    folder: Path
    regression: Any

    @property
    def task(self) -> Path:
        return self.folder / "sayings.py"

    @property
    def model(self) -> str:
        return f"python:{self.folder / 'speaker.py'}:speak"

    def noted(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text("utf-8").split("\n")[:-1] if path.exists() else []

    def by_hand(self, candidate: str, reference: str) -> float:
        """The score as scikit-learn computes it."""
        return float(self.regression.predict_proba(_shared([(candidate, reference)]))[0, 1])

    def expected(self, *, without: tuple[int, ...] = ()) -> float:
        """The benchmark's figure, in percent."""
        spoken: dict[str, Any] = {}
        exec((self.folder / "phrase_book.py").read_text("utf-8"), spoken)
        kept = [n for n in range(ROWS) if n not in without]
        scores = [self.by_hand(spoken["said"](n), f"the {n} grey geese fly over the lake") for n in kept]
        return 100 * sum(scores) / len(scores)


def taught(folder: Path, *, hostile: dict[int, str] | None = None, seed: int = 1) -> Taught:
    """Writes the files and fits the weights. `hostile`: what the model says instead, by sample."""
    import numpy as np
    from sklearn.linear_model import LogisticRegression

    folder.mkdir(exist_ok=True, parents=True)
    for name, text in {
        "letter_regression.py": _SCORER.replace("FEATURES", str(FEATURES)),
        "sayings.py": _TASK.replace("ROWS", str(ROWS)),
        "speaker.py": _MODEL,
        "phrase_book.py": _PHRASES % (hostile or {},),
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    random = np.random.default_rng(seed)
    letters = "abcdefghijklmnop "
    texts = ["".join(random.choice(list(letters), 24)) for _ in range(60)]
    pairs = [(text, text[: 8 + n % 16]) for n, text in enumerate(texts)]
    pairs += [(text, other) for text, other in zip(texts, texts[::-1], strict=True)]
    regression = LogisticRegression(C=0.01).fit(_shared(pairs), [1] * 60 + [0] * 60)
    np.savez(folder / "weights.npz", weights=regression.coef_[0], bias=regression.intercept_[0])
    return Taught(folder, regression)


def _shared(pairs: list[tuple[str, str]]) -> Any:
    import numpy as np
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(
        analyzer="char_wb", ngram_range=(1, 2), n_features=FEATURES, norm=None, alternate_sign=False
    )
    left, right = (vectorizer.transform(texts).toarray() for texts in zip(*pairs, strict=True))
    return np.minimum(left, right)
