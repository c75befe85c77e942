"""Everything a benchmark is made of, in one place: `from evalkit.api import …`."""

from evalkit.data import Data, DataOptions, Hub, Package, Record, Records
from evalkit.errors import DataError, SandboxError, ScorerError, UsageError, unknown
from evalkit.identity import versioned
from evalkit.metrics import Accuracy, Macro, MeanCredit, Metric, PassAtK, Ratio, Scored, averages
from evalkit.protocol import Protocol
from evalkit.samples import JSON, Answer, Audio, Final, Image, Message, Part, Prompt, Sample, Speech, letters
from evalkit.samples import Tool as Tool
from evalkit.samples import ToolCall as ToolCall
from evalkit.solvers import (
    Ask,
    Extract,
    ask_once,
    choose_letter,
    majority_vote,
    route_by_agreement,
)
from evalkit.task import Referee, Submitted, Task, Verdict, View, load_task, sample_id, task

__all__ = [
    "JSON",
    "Accuracy",
    "Answer",
    "Ask",
    "Audio",
    "Data",
    "DataError",
    "DataOptions",
    "Extract",
    "Final",
    "Hub",
    "Image",
    "Macro",
    "MeanCredit",
    "Message",
    "Metric",
    "Package",
    "Part",
    "PassAtK",
    "Prompt",
    "Protocol",
    "Ratio",
    "Record",
    "Records",
    "Referee",
    "Sample",
    "SandboxError",
    "Scored",
    "ScorerError",
    "Speech",
    "Submitted",
    "Task",
    "Tool",
    "ToolCall",
    "UsageError",
    "Verdict",
    "View",
    "ask_once",
    "averages",
    "choose_letter",
    "letters",
    "load_task",
    "majority_vote",
    "route_by_agreement",
    "sample_id",
    "task",
    "unknown",
    "versioned",
]
