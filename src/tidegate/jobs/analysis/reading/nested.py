"""Columns that hold more than one value a cell, made flat."""

import polars as pl


def flatten(frame: pl.DataFrame) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """One level of structs becomes columns ("address.city"); what is nested deeper, or a list, becomes text.

    Also answers remarks that name the columns changed.
    """
    columns: list[pl.Series] = []
    opened: list[str] = []
    for column in frame:
        if isinstance(column.dtype, pl.Struct):
            opened.append(column.name)
            fields = column.struct.unnest()
            columns += [field.alias(f"{column.name}.{field.name}") for field in fields]
        else:
            columns.append(column)
    turned = [column.name for column in columns if _is_nested(column.dtype)]
    texts = [_as_text(column) if _is_nested(column.dtype) else column for column in columns]
    return pl.DataFrame(_distinct(texts)), (*opened_note(opened), *text_note(turned))


def opened_note(names: list[str]) -> tuple[str, ...]:
    """The remark for objects opened into columns; none for no names."""
    return (f"Nested objects were opened one level: {', '.join(names[:10])}.",) if names else ()


def text_note(names: list[str]) -> tuple[str, ...]:
    """The remark for nested values kept as text; none for no names."""
    return (f"Lists and deeper objects were kept as text: {', '.join(names[:10])}.",) if names else ()


def _is_nested(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.List | pl.Array | pl.Struct | pl.Object)


def _as_text(column: pl.Series) -> pl.Series:
    wrapped = pl.DataFrame({"value": column}).select(pl.struct("value").struct.json_encode()).to_series()
    inner = wrapped.str.slice(len('{"value":')).str.head(-1)
    return inner.set(column.is_null(), None).alias(column.name)


def _distinct(columns: list[pl.Series]) -> list[pl.Series]:
    seen: set[str] = set()
    for index, column in enumerate(columns):
        if column.name in seen:
            columns[index] = column.alias(f"{column.name}#{index}")
        seen.add(columns[index].name)
    return columns
