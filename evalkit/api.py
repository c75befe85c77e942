"""Everything that a benchmark, a metric or a model needs, in one place: `from evalkit.api import …`.

The rules that extract answers from texts and compare them are in `evalkit.scoring`.
"""

from evalkit.benchmark.prompt_tokens import WINDOWS, ask_prompt_tokens, between_words, by_position, windows
from evalkit.benchmark.protocol import Protocol
from evalkit.benchmark.readers import (
    BY_BYTES,
    WHOLE,
    Extract,
    Reading,
    choose_continuation,
    choose_letter,
    each_draw,
    first_draw,
    greedy_reference,
    majority_vote,
    route_by_agreement,
)
from evalkit.benchmark.solvers import (
    Context,
    ask_continuations,
    ask_likelihoods,
    ask_once,
    ask_reference,
    ask_with_fallback,
    each_draw_of,
)
from evalkit.benchmark.spec import HeatMap
from evalkit.benchmark.task import (
    JudgeContext,
    ModelExtractor,
    ModelScorer,
    Submitted,
    Task,
    Variant,
    Verdict,
    load_task,
    sample_id,
    task,
)
from evalkit.benchmark.transcript import Transcript, Turn
from evalkit.data import (
    PART,
    Data,
    DataOptions,
    Generated,
    Hub,
    JsonLines,
    Local,
    Mapped,
    Package,
    Parts,
    Record,
    Records,
)
from evalkit.data.audio_folder import FILE as AUDIO_FILE
from evalkit.data.audio_folder import AudioFolder
from evalkit.data.base import CsvCell, list_of, text_of
from evalkit.data.exemplars import LmEvalFiles, fewshot_description, fewshot_samples, returned_samples
from evalkit.data.hub import CONVERTED
from evalkit.data.mmlu_cot import mmlu_cot, mmlu_cot_description, mmlu_cot_paths, mmlu_cot_repairs
from evalkit.data.repository import Repository, lines_of
from evalkit.data.text_folder import TextFolder
from evalkit.data.tokens import Tokeniser
from evalkit.data.zipped import HubZip
from evalkit.errors import (
    DataError,
    JudgeError,
    OwnDataError,
    ProviderError,
    SandboxError,
    ScorerError,
    ToolError,
    UsageError,
    unknown,
)
from evalkit.identity.declared import versioned
from evalkit.metrics import (
    Accuracy,
    Counted,
    Kept,
    Macro,
    Mean,
    MeanCredit,
    MeanValue,
    Metric,
    MetricBase,
    PassAtK,
    Ratio,
    Scored,
    ShareOfSamples,
    averages,
    quantile,
)
from evalkit.metrics.bleu import BY_TARGET, Bleu, ChrF, require_tokeniser, tokeniser_for
from evalkit.metrics.bleu import signatures as bleu_signatures
from evalkit.metrics.error_rate import ErrorRate, Over100
from evalkit.metrics.guessing import GuessingAccuracy
from evalkit.metrics.hub import HubMetric
from evalkit.metrics.log_loss import LogLoss
from evalkit.metrics.perplexity import Perplexity
from evalkit.models.base import BatchModel, ByIdModel, Likelihood, Model, Request, Response, TokenLogprob
from evalkit.models.fake import FakeModel
from evalkit.models.registry import Backend, Named
from evalkit.processes.workers import OverLimit, Workers
from evalkit.runfile.runs_as_data import Runs
from evalkit.samples import (
    JSON,
    Answer,
    Audio,
    Final,
    Image,
    Message,
    Part,
    Prompt,
    Sample,
    Speech,
    Video,
    letters,
)
from evalkit.samples import Tool as Tool
from evalkit.samples import ToolCall as ToolCall
from evalkit.sandbox import Program, Sandbox, check_sandbox, run_programs, unsafe_allowed
from evalkit.sandbox.limits import Limits, Raised, Ran, Value
from evalkit.sandbox.running import Executable, build, call, execute, session
from evalkit.scoring.learned import Learned

__all__ = [
    "AUDIO_FILE",
    "BY_BYTES",
    "BY_TARGET",
    "CONVERTED",
    "JSON",
    "PART",
    "WHOLE",
    "WINDOWS",
    "Accuracy",
    "Answer",
    "Audio",
    "AudioFolder",
    "Backend",
    "BatchModel",
    "Bleu",
    "ByIdModel",
    "ChrF",
    "Context",
    "Counted",
    "CsvCell",
    "Data",
    "DataError",
    "DataOptions",
    "ErrorRate",
    "Executable",
    "Extract",
    "FakeModel",
    "Final",
    "Generated",
    "GuessingAccuracy",
    "HeatMap",
    "Hub",
    "HubMetric",
    "HubZip",
    "Image",
    "JsonLines",
    "JudgeContext",
    "JudgeError",
    "Kept",
    "Learned",
    "Likelihood",
    "Limits",
    "LmEvalFiles",
    "Local",
    "LogLoss",
    "Macro",
    "Mapped",
    "Mean",
    "MeanCredit",
    "MeanValue",
    "Message",
    "Metric",
    "MetricBase",
    "Model",
    "ModelExtractor",
    "ModelScorer",
    "Named",
    "Over100",
    "OverLimit",
    "OwnDataError",
    "Package",
    "Part",
    "Parts",
    "PassAtK",
    "Perplexity",
    "Program",
    "Prompt",
    "Protocol",
    "ProviderError",
    "Raised",
    "Ran",
    "Ratio",
    "Reading",
    "Record",
    "Records",
    "Repository",
    "Request",
    "Response",
    "Runs",
    "Sample",
    "Sandbox",
    "SandboxError",
    "Scored",
    "ScorerError",
    "ShareOfSamples",
    "Speech",
    "Submitted",
    "Task",
    "TextFolder",
    "TokenLogprob",
    "Tokeniser",
    "Tool",
    "ToolCall",
    "ToolError",
    "Transcript",
    "Turn",
    "UsageError",
    "Value",
    "Variant",
    "Verdict",
    "Video",
    "Workers",
    "ask_continuations",
    "ask_likelihoods",
    "ask_once",
    "ask_prompt_tokens",
    "ask_reference",
    "ask_with_fallback",
    "averages",
    "between_words",
    "bleu_signatures",
    "build",
    "by_position",
    "call",
    "check_sandbox",
    "choose_continuation",
    "choose_letter",
    "each_draw",
    "each_draw_of",
    "execute",
    "fewshot_description",
    "fewshot_samples",
    "first_draw",
    "greedy_reference",
    "letters",
    "lines_of",
    "list_of",
    "load_task",
    "majority_vote",
    "mmlu_cot",
    "mmlu_cot_description",
    "mmlu_cot_paths",
    "mmlu_cot_repairs",
    "quantile",
    "require_tokeniser",
    "returned_samples",
    "route_by_agreement",
    "run_programs",
    "sample_id",
    "session",
    "task",
    "text_of",
    "tokeniser_for",
    "unknown",
    "unsafe_allowed",
    "versioned",
    "windows",
]
