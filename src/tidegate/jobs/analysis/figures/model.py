"""The shape of `kpis` in the result. The reference page docs/reference/analysis.md says what each means."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class NumericFigures:
    """One column of numbers. Percentiles interpolate linearly; `std` is the sample's (n - 1)."""

    count: int
    sum: float
    mean: float
    median: float
    std: float | None
    min: float
    max: float
    p5: float
    p25: float
    p75: float
    p95: float
    zeros: int
    zero_share: float
    negatives: int
    unit: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueCount:
    """How often one value occurs; `share` is of the column's values, nulls not counted."""

    value: str
    count: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryFigures:
    """One column of groups. `entropy` is Shannon's, 1 for all values alike often; `concentration` is the sum
    of squared shares (Herfindahl), 1 for a single value."""

    count: int
    distinct: int
    entropy: float
    concentration: float
    top3_share: float
    top: tuple[ValueCount, ...]
    rarest: ValueCount


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One group of a segment, with its shares of the rows and, where a sum makes sense, of the sum."""

    value: str
    count: int
    share: float
    mean: float
    share_of_sum: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """How a measure differs between the groups of another column, highest mean first.

    `explained` is the share of the measure's variance that lies between the groups (eta squared). Groups of
    under five rows are left out.
    """

    by: str
    measure: str
    count: int
    adds_up: bool
    explained: float
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One bucket of a series. `complete` is false for a first or last bucket the data only partly covers."""

    at: str
    value: float | None
    rows: int
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """The level of a series in one phase of a cycle (a weekday, a month), with the trend taken out."""

    label: str
    value: float
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """A repeating cycle. `strength` is the share of the detrended variance it explains, corrected for its
    number of phases; `signal` the variance between phases over that within (F: 1 is chance); `agreement` the
    correlation of the odd with the even cycles' profile; `cycles` how many times the data runs through it."""

    period: str
    strength: float
    signal: float
    agreement: float
    cycles: float
    peak: Phase
    trough: Phase
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A lasting change of level. `explained` is the share of variance that two levels explain."""

    at: str
    before: float
    after: float
    change: float
    change_share: float | None
    explained: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """A measure over time, in complete buckets.

    `first`/`last` are single buckets, `early`/`late` means over `window` buckets at either end, `shift` is
    late minus early. `slope` is a bucket's least-squares change and `fit` its r squared, both with the
    cycle taken out where there is one.
    """

    measure: str
    aggregate: str
    first: float
    last: float
    change: float
    change_share: float | None
    window: int
    early: float
    late: float
    shift: float
    shift_share: float | None
    slope: float
    fit: float
    highest: Point
    lowest: Point
    patterns: dict[str, Pattern]
    step: Step | None
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeFigures:
    """The table along its time axis. `outside` counts rows whose date is implausibly far from the others."""

    column: str
    other_columns: tuple[str, ...]
    bucket: str
    first_at: str
    last_at: str
    buckets: int
    empty_buckets: int
    outside: int
    rows: Trend | None
    trends: dict[str, Trend]


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """How two columns move together over the `count` rows that have both."""

    a: str
    b: str
    count: int
    pearson: float
    spearman: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlations:
    """The strongest pairs first. Computed on each `every`-th row."""

    columns: tuple[str, ...]
    every: int
    pairs: tuple[Correlation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Extreme:
    """One far-off value; `row` counts data rows in the file from 1, `score` is its robust z."""

    row: int
    value: float
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """Values outside a pair of bounds."""

    low: float
    high: float
    count: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierFigures:
    """Far-off values by two rules: 1.5 interquartile ranges beyond the quartiles (Tukey), and a robust z
    over 3.5 (Iglewicz and Hoaglin; from the mean deviation where half of all values are alike)."""

    count: int
    median: float
    iqr: Fence
    mad: Fence
    extremes: tuple[Extreme, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kpis:
    """Every key figure, by column name where there is one per column."""

    rows: int
    columns: int
    numeric: dict[str, NumericFigures]
    categorical: dict[str, CategoryFigures]
    segments: tuple[Segment, ...]
    time: TimeFigures | None
    correlations: Correlations
    outliers: dict[str, OutlierFigures]
