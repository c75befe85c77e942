"""Reads Parquet files row group by row group.

The stream of `datasets` is not used: its scanner reads ahead in threads that it leaves running, so that a
process may abort or hang when it ends (https://github.com/apache/arrow/issues/45214), and it reads a whole
file ahead without a limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.data.base import Record
from evalkit.data.media import media_columns, undecoded

if TYPE_CHECKING:
    from datasets import Features

BATCH, MEDIA_BATCH = 64, 8
"""Records decoded at a time, without and with media. A record with media may have megabytes."""
_BUFFER = 1 << 20
"""Bytes read ahead per column. The default is a whole row group, in memory in addition to its pages."""
_PLAIN = 8 << 20
"""Bytes of a batch that are Python values at a time: a row may hold a whole book."""


def columns_of(file: Path) -> tuple[int, set[str]]:
    """Returns (how many records, the columns' names) of one file."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as parquet:
        return parquet.metadata.num_rows, set(parquet.schema_arrow.names)


def features_of(file: Path) -> Features:
    """Returns the features of the columns, from the file's own schema."""
    import pyarrow.parquet as pq
    from datasets import Features

    with pq.ParquetFile(file) as parquet:
        return Features.from_arrow_schema(parquet.schema_arrow)


def read(files: Sequence[Path], features: Features) -> Iterator[Record]:
    """Yields the files' records in order, as `datasets` does, with undecoded media."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets.table import table_cast

    stored = undecoded(features)
    size = MEDIA_BATCH if media_columns(features) else BATCH
    for file in files:
        with pq.ParquetFile(file, pre_buffer=False, buffer_size=_BUFFER) as parquet:
            for group in range(parquet.num_row_groups):
                for batch in parquet.iter_batches(batch_size=size, row_groups=[group]):
                    table = table_cast(pa.Table.from_batches([batch]), features.arrow_schema)
                    step = max(1, _PLAIN * len(table) // max(1, table.nbytes))
                    for start in range(0, len(table), step):
                        for record in table.slice(start, step).to_pylist():
                            yield stored.decode_example(record)
