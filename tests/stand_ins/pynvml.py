"""The calls of nvidia-ml-py 13 that PyTorch makes to see how busy a GPU is. There are three GPUs."""

from __future__ import annotations

from dataclasses import dataclass


class NVMLError(Exception):
    pass


class NVMLError_DriverNotLoaded(NVMLError):  # noqa: N801 — NVML's name
    pass


@dataclass
class c_nvmlUtilization_t:  # noqa: N801 — NVML's name
    gpu: int
    memory: int


_ready = False


def nvmlInit() -> None:  # noqa: N802
    global _ready
    _ready = True


def nvmlDeviceGetHandleByIndex(index: int) -> int:  # noqa: N802
    if not _ready or not 0 <= index < 3:
        raise NVMLError("Invalid Argument")
    return index


def nvmlDeviceGetUtilizationRates(handle: int) -> c_nvmlUtilization_t:  # noqa: N802
    return c_nvmlUtilization_t(gpu=90 + handle, memory=10)
