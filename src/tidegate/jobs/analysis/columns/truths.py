"""Text to booleans: true and false, yes and no, and their kin."""

import polars as pl

from tidegate.jobs.analysis.columns.parsed import Kind, Parsed
from tidegate.jobs.analysis.columns.patterns import TRUTH_WORDS

_MOST_SPELLINGS = 12


def parse_truths(text: pl.Series) -> Parsed | None:
    """The column as booleans where its values are the two words of one pair, in any case; else None."""
    if text.head(1000).n_unique() > _MOST_SPELLINGS:
        return None
    words = set(text.drop_nulls().unique().str.to_lowercase().to_list())
    pair = next((pair for pair in TRUTH_WORDS if words == set(pair)), None)
    pair = pair or next((pair for pair in TRUTH_WORDS[:2] if words and words <= set(pair)), None)
    if pair is None:
        return None
    return Parsed(kind=Kind.BOOLEAN, values=text.str.to_lowercase() == pair[0])
