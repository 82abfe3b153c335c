"""The errors a user can meet.

    HftrainError
    ├── ConfigError     you asked for something that cannot be
    ├── ArtifactError   something on disk is missing, unfinished or changed
    └── DataError       the data breaks its stated shape

Each message says where and what (with the value), then what is needed, then what to do.
A command line shows the message alone and exits with code 2; ``--debug`` adds the traceback.
"""


class HftrainError(Exception):
    """Any mistake that a user can mend; never one of ours."""


class ConfigError(HftrainError):
    """The configuration asks for something that cannot be."""


class ArtifactError(HftrainError):
    """An artifact is missing, unfinished, of another kind, held by another process, or changed."""


class DataError(HftrainError):
    """Data breaks the shape that its reader states."""
