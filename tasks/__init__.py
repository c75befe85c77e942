"""The benchmarks: one module each. This index lets a name resolve without importing any of them."""

INDEX = {
    "ai2d": "evalkit.tasks.ai2d:ai2d",
    "chartqa": "evalkit.tasks.chartqa:chartqa",
    "docvqa": "evalkit.tasks.docvqa:docvqa",
    "gsm8k": "evalkit.tasks.gsm8k:gsm8k",
    "humaneval": "evalkit.tasks.humaneval:humaneval",
    "infographicvqa": "evalkit.tasks.docvqa:infographicvqa",
    "math": "evalkit.tasks.math:math",
    "mathvista": "evalkit.tasks.mathvista:mathvista",
    "mmlu": "evalkit.tasks.mmlu:mmlu",
    "mmmu": "evalkit.tasks.mmmu:mmmu",
    "textvqa": "evalkit.tasks.textvqa:textvqa",
    "vqa": "evalkit.tasks.vqa:vqa",
    "vqav2": "evalkit.tasks.vqav2:vqav2",
}
