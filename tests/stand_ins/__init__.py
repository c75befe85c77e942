"""Packages with the names and call shapes of vLLM 0.33.0 and SGLang 0.5.23, which compute with transformers.

A test puts this folder on the path. Names, arguments, defaults and the fields of results are those of the
real packages, as far as evalkit uses them; what evalkit does not use is left out.
"""
