"""Compares the backends that can run one GGUF file, sample by sample.

    python -m bench.backends --data FOLDER [--limit 10] [--tasks mmlu,gsm8k,humaneval]

It asks `llama-cpp/`, the same file through llama.cpp's loopback endpoint (`openai/`), `hf/` and `lm-eval/hf`,
and llama.cpp with the same weights written as 32-bit floats, which shows what the arithmetic of the file's
4 bits changes. FOLDER is laid out like the Hub. Each row compares a backend with `hf/`: how many samples have
the same text and the same verdict, whether the prompts have equally many tokens, and for likelihoods the
largest difference of a letter's log-probability.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import evalkit
from bench.agreement import served
from bench.rows import say
from evalkit.models.weights import NAMED, fetch

NAME = "SmolLM2-135M-Instruct"
REFERENCE = "hf"
TASKS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "mmlu": ("mmlu:5-shot", {}),
    "gsm8k": ("gsm8k:8-shot-cot", {"shots": "4", "max_tokens": "96"}),
    "humaneval": ("humaneval:0-shot", {"max_tokens": "160"}),
}
"""Name → (benchmark, settings)."""
HEADINGS = ("benchmark", "backend", "same text", "same verdict", "same prompt tokens", "largest difference")


@dataclass(frozen=True, slots=True)
class Seen:
    """What one backend made of one sample. `tokens`: of the prompt; None if the backend counts none."""

    text: str
    outcome: str
    tokens: int | None
    logprobs: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend and how it is asked. `scored`: it can only score continuations, not list alternatives."""

    model: str
    base_url: str = ""
    scored: bool = False


def seen(table: evalkit.Table) -> list[Seen]:
    """Returns what the run's samples got, in the order of the data."""
    rows = table.samples().to_dict("records")
    return [
        Seen(
            row["responses"][0]["text"],
            row["outcome"],
            row["responses"][0]["prompt_tokens"],
            row["detail"].get("logprobs", {}),
        )
        for row in rows
    ]


def compared(mine: Sequence[Seen], theirs: Sequence[Seen]) -> tuple[str, str, str, str]:
    """Returns the cells of a row, after its first two `HEADINGS`. Both sequences have the same samples."""
    pairs = list(zip(mine, theirs, strict=True))
    texts = [(one, other) for one, other in pairs if not one.logprobs]
    counted = [(a.tokens, b.tokens) for a, b in pairs if None not in (a.tokens, b.tokens)]
    apart = [abs(a.logprobs[key] - b.logprobs[key]) for a, b in pairs for key in a.logprobs]
    return (
        _share([one.text == other.text for one, other in texts]),
        _share([one.outcome == other.outcome for one, other in pairs]),
        _share([one == other for one, other in counted]),
        f"{max(apart):.2g}" if apart else "",
    )


def _share(found: Sequence[bool]) -> str:
    return f"{sum(found)} of {len(found)}" if found else ""


def write_floats(path: Path, to: Path) -> None:
    """Writes a GGUF file whose quantised weights are 32-bit floats, and all else as in `path`."""
    import gguf  # type: ignore[import-not-found, import-untyped, unused-ignore]
    from gguf.quants import dequantize  # type: ignore[import-not-found, import-untyped, unused-ignore]

    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(to, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        inner = field.types[1] if len(field.types) > 1 else None
        writer.add_key_value(name, field.contents(), field.types[0], sub_type=inner)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, dequantize(tensor.data, tensor.tensor_type).astype("float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _backends(weights: Path, url: str, floats: Path, threads: int) -> dict[str, Backend]:
    lm_eval = f"pretrained={weights.parent},gguf_file={weights.name},dtype=float32,device=cpu,batch_size=1"
    return {
        REFERENCE: Backend(f"hf/{weights}?dtype=float32"),
        "lm-eval/hf": Backend(f"lm-eval/hf?{lm_eval}", scored=True),
        "llama-cpp": Backend(f"llama-cpp/{weights}?threads={threads}"),
        "openai": Backend(f"openai/{weights.name}", url),
        "llama-cpp, 32-bit weights": Backend(f"llama-cpp/{floats}?threads={threads}"),
    }


def _rows(
    options: argparse.Namespace, backends: Mapping[str, Backend], folder: Path
) -> Iterator[Sequence[str]]:
    for name in options.tasks.split(","):
        task, settings = TASKS[name]
        reference: list[Seen] = []
        for number, (label, backend) in enumerate(backends.items()):
            say(f"{name}: {label} …")
            likelihood = {"likelihood": "prompt"} if backend.scored and name == "mmlu" else {}
            table = evalkit.run(
                backend.model, task, base_url=backend.base_url, data=options.data, limit=options.limit,
                output=folder / f"{name}-{number}.db", settings={**settings, **likelihood},
            )  # fmt: skip
            found = seen(table)
            reference = reference or found
            if label != REFERENCE:
                yield name, label, *compared(found, reference)


def measured(options: argparse.Namespace) -> Iterator[Sequence[str]]:
    """Yields the rows of the table, each with a text for each of `HEADINGS`."""
    weights = fetch(NAMED[NAME])
    with tempfile.TemporaryDirectory() as scratch:
        floats = Path(scratch) / f"{NAME}.F32.gguf"
        write_floats(weights, floats)
        with served(str(weights), "") as (_, url):
            yield from _rows(options, _backends(weights, url, floats, options.threads), Path(scratch))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m bench.backends", description="Compares the backends that can run one GGUF file."
    )
    parser.add_argument("--data", required=True, type=Path, help="a folder laid out like the Hub")
    parser.add_argument("--limit", type=int, default=10, help="samples of each benchmark")
    parser.add_argument("--tasks", default=",".join(TASKS), help="separated by commas")
    parser.add_argument("--threads", type=int, default=1, help="of llama.cpp")
    options = parser.parse_args()
    print(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}")
    for row in measured(options):
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
