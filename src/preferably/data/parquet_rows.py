"""Parquet to rows, a few at a time."""

from collections.abc import Iterator
from typing import IO, Any

from preferably.data.accounting import Reject, printable
from preferably.data.json_values import problem_in, without_null
from preferably.errors import DataError

BATCH = 16  # rows that are decoded together: a dictionary repeats long text at no cost to the file, not to memory
ROW_BYTES = 16 * 2**20
MANY = 10**6  # rows from which a file with more rows than bytes is refused: nobody has said that much in so little


def parquet_rows(source: IO[bytes], size: int, file: str) -> Iterator[tuple[int, dict[str, Any] | Reject]]:
    """The rows of an open file of `size` bytes, counted from 1. Null is what a row lacks. `DataError` if it breaks."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as missing:
        raise DataError(f"{file} is a Parquet file, which needs pyarrow: pip install 'preferably[data]'.") from missing
    # What pyarrow raises for a broken file: its own errors, and those of Python that it maps some of them to.
    errors = (pyarrow.ArrowException, OSError, ValueError, TypeError, LookupError, NotImplementedError,
              OverflowError, MemoryError, RecursionError)  # fmt: skip
    number = 0
    try:
        table = parquet.ParquetFile(source, buffer_size=2**20, pre_buffer=False)
        _check(table, size, file)
        batches = table.iter_batches(batch_size=BATCH, use_threads=False)
        while (batch := next(batches, None)) is not None:
            for row in _rows(batch, errors):
                number += 1
                yield number, row if isinstance(row, dict) else Reject(file, number, *row)
    except errors as problem:
        text = printable(next(iter(str(problem).splitlines()), type(problem).__name__))
        raise DataError(
            f"{file} is not a whole Parquet file: {text[:200]} (after {number} rows). Is the file complete?"
        ) from problem
    if number != table.metadata.num_rows:
        raise DataError(f"{file} says that it holds {table.metadata.num_rows} rows, and holds {number}.")


def _check(table: Any, size: int, file: str) -> None:
    rows, names = table.metadata.num_rows, table.schema_arrow.names
    if rows > MANY and rows > size:
        raise DataError(f"{file} says that it holds {rows} rows in {size} bytes; rows of text do not fit into that.")
    if not names and rows:
        raise DataError(f"{file} holds {rows} rows without a column.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{file} has two columns named {twice[0]!r}; rename or remove one of them.")


def _rows(batch: Any, errors: tuple[type[Exception], ...]) -> Iterator[dict[str, Any] | tuple[str, str, str]]:
    """Rows, or (field, code, reason) for those that cannot be used."""
    values: list[Any] = []
    if batch.nbytes <= ROW_BYTES:
        try:
            values = batch.to_pylist()
        except errors:
            pass  # one row of them is at fault
    for index in range(batch.num_rows):
        yield _clean(values[index]) if values else _one(batch.slice(index, 1), errors)


def _one(row: Any, errors: tuple[type[Exception], ...]) -> dict[str, Any] | tuple[str, str, str]:
    if row.nbytes > ROW_BYTES:
        return "row", "too_large", f"larger than {ROW_BYTES} bytes"
    values = {}
    for name, column in zip(row.schema.names, row.columns, strict=True):
        try:
            values[name] = column.to_pylist()[0]
        except UnicodeDecodeError as problem:
            return name[:80], "not_utf8", f"byte {problem.start + 1} of the text is not UTF-8"
        except errors as problem:
            return name[:80], "bad_cell", f"{type(problem).__name__}: {problem}"[:200]
    return _clean(values)


def _clean(row: dict[str, Any]) -> dict[str, Any] | tuple[str, str, str]:
    problem = problem_in(row)
    return ("row", *problem) if problem else without_null(row)
