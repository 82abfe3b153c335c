"""Where in the texts of a batch a search for personal data with digits has to begin."""

import numpy

from hftrain.corpus.batches import Batch
from hftrain.corpus.personal_data import LONG_RUN_CHARS, SIX_DIGITS_CHARS


def number_places(batch: Batch) -> list[list[int]]:
    """Where in each text a match of ``NUMBER`` may begin: at a digit with five more near by, or in a long chunk.

    Six digits with up to three signs between each two have ``SIX_DIGITS_CHARS`` at most; the other forms hold as many
    digits, or ``LONG_RUN_CHARS`` characters without white space.
    """
    digits = numpy.flatnonzero((batch.codes_C - numpy.uint32(ord("0"))) < 10)
    may_begin = numpy.zeros(len(digits), numpy.bool_)
    may_begin[: max(0, len(digits) - 5)] = digits[5:] - digits[:-5] < SIX_DIGITS_CHARS
    chunks = numpy.searchsorted(batch.chunks.starts_S, digits, side="right") - 1
    may_begin |= batch.chunks.ends_S[chunks] - digits >= LONG_RUN_CHARS
    places = digits[may_begin]
    bounds = numpy.searchsorted(places, numpy.append(batch.starts_D, len(batch.codes_C))).tolist()
    documents = numpy.searchsorted(batch.starts_D, places, side="right") - 1
    within = (places - batch.starts_D[documents]).tolist()
    return [within[first:last] for first, last in zip(bounds, bounds[1:], strict=False)]
