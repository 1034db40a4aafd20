"""Content negotiation: how much a client wants a media type (RFC 9110, section 12.5.1)."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wish:
    """How much one media type is wanted, 0..1, and how exactly it was named: 2 itself, 1 its family, 0 anything."""

    quality: float
    exact: int


UNASKED = Wish(1.0, 0)
UNWANTED = Wish(0.0, 0)


def wish(accept: str, media_type: str) -> Wish:
    """What an `Accept` header says of a media type; without a header everything is welcome.

    The range that fits best decides, of equals the one that wants it more. What can't be read is passed over.
    """
    if not accept.strip():
        return UNASKED
    family = media_type.partition("/")[0]
    fits = {media_type: 2, f"{family}/*": 1, "*/*": 0}
    found = UNWANTED
    met = -1
    for part in accept.split(","):
        named, *parameters = (piece.strip().lower() for piece in part.split(";"))
        exact, quality = fits.get(named, -1), _quality(parameters)
        if quality is not None and exact >= 0 and (exact, quality) > (met, found.quality):
            found, met = Wish(quality, exact), exact
    return found


def _quality(parameters: list[str]) -> float | None:
    """The weight among a range's parameters; None where it is no weight."""
    given = next((text.removeprefix("q=").strip() for text in parameters if text.startswith("q=")), "1")
    try:
        quality = float(given)
    except ValueError:
        return None
    return quality if 0 <= quality <= 1 else None
