"""Where the questions come from: the Hub, a folder shaped like it, or an installed package."""

from evalkit.data.base import Data, DataOptions, Record, Records
from evalkit.data.hub import Hub
from evalkit.data.local import Local
from evalkit.data.package import Package

__all__ = ["Data", "DataOptions", "Hub", "Local", "Package", "Record", "Records"]
