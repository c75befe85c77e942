"""Everything a benchmark is made of, in one place: `from evalkit.api import …`."""

from evalkit.data import Data, DataOptions, Hub, Package, Record, Records
from evalkit.errors import SandboxError, ScorerError, UsageError
from evalkit.metrics import Accuracy, Metric, PassAtK, Scored
from evalkit.protocol import Protocol
from evalkit.samples import Answer, Final, Message, Prompt, Sample
from evalkit.solvers import Ask, Extract, ask_once, majority_vote
from evalkit.task import Task, Verdict, load_task, sample_id, task

__all__ = [
    "Accuracy", "Answer", "Ask", "Data", "DataOptions", "Extract", "Final", "Hub", "Message", "Metric",
    "Package", "PassAtK", "Prompt", "Protocol", "Record", "Records", "Sample", "SandboxError", "Scored",
    "ScorerError", "Task", "UsageError", "Verdict", "ask_once", "load_task", "majority_vote", "sample_id",
    "task",
]  # fmt: skip
