"""The sources of questions: the Hub, the user's own files, a package, run files, a function."""

from evalkit.data.base import Data, DataOptions, Record, Records
from evalkit.data.generated import Generated
from evalkit.data.hub import Hub
from evalkit.data.local import JsonLines, Local
from evalkit.data.mapped import Mapped
from evalkit.data.package import Package
from evalkit.data.parts import PART, Parts

__all__ = [
    "PART",
    "Data",
    "DataOptions",
    "Generated",
    "Hub",
    "JsonLines",
    "Local",
    "Mapped",
    "Package",
    "Parts",
    "Record",
    "Records",
]
