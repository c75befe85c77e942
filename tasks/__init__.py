"""The benchmarks: one module each. This index lets a name resolve without importing any of them."""

INDEX = {
    "gsm8k": "evalkit.tasks.gsm8k:gsm8k",
    "humaneval": "evalkit.tasks.humaneval:humaneval",
    "math": "evalkit.tasks.math:math",
    "mmlu": "evalkit.tasks.mmlu:mmlu",
}
