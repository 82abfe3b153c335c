"""What TRL 1.12 still calls by the names that transformers 5.23 has given up."""

import contextlib
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def old_names_allowed() -> Iterator[None]:
    """Let TRL ask for ``is_gradient_checkpointing`` at every step without a warning each time."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing` is deprecated", FutureWarning)
        yield
