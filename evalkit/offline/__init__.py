"""The engines of vLLM and SGLang in this process: `vllm/PATH-or-NAME` and `sglang/PATH-or-NAME`."""
