"""Everything a benchmark is made of, in one place: `from evalkit.api import …`."""

from evalkit.data import Data, DataOptions, Hub, Package, Record, Records
from evalkit.errors import DataError, JudgeError, SandboxError, ScorerError, ToolError, UsageError, unknown
from evalkit.identity import versioned
from evalkit.learned import Learned
from evalkit.metrics import Accuracy, Macro, MeanCredit, Metric, PassAtK, Ratio, Scored, averages
from evalkit.protocol import Protocol
from evalkit.readers import (
    Extract,
    Reading,
    choose_letter,
    each_draw,
    first_draw,
    majority_vote,
    route_by_agreement,
)
from evalkit.samples import JSON, Answer, Audio, Final, Image, Message, Part, Prompt, Sample, Speech, letters
from evalkit.solvers import Context, ask_likelihoods, ask_once, ask_with_fallback, each_draw_of
from evalkit.task import (
    JudgeContext,
    ModelScorer,
    Referee,
    Submitted,
    Task,
    Verdict,
    View,
    load_task,
    sample_id,
    task,
)
from evalkit.transcript import Transcript, Turn

__all__ = [
    "JSON",
    "Accuracy",
    "Answer",
    "Audio",
    "Context",
    "Data",
    "DataError",
    "DataOptions",
    "Extract",
    "Final",
    "Hub",
    "Image",
    "JudgeContext",
    "JudgeError",
    "Learned",
    "Macro",
    "MeanCredit",
    "Message",
    "Metric",
    "ModelScorer",
    "Package",
    "Part",
    "PassAtK",
    "Prompt",
    "Protocol",
    "Ratio",
    "Reading",
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
    "ToolError",
    "Transcript",
    "Turn",
    "UsageError",
    "Verdict",
    "View",
    "ask_likelihoods",
    "ask_once",
    "ask_with_fallback",
    "averages",
    "choose_letter",
    "each_draw",
    "each_draw_of",
    "first_draw",
    "letters",
    "load_task",
    "majority_vote",
    "route_by_agreement",
    "sample_id",
    "task",
    "unknown",
    "versioned",
]
