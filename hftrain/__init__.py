"""From a folder of text to an aligned, quantized language model: thin recipes over Hugging Face libraries.

The recipes are the interface; this package's own face is the errors that they raise. Settings are in
`hftrain.stages.<stage>`, reading a finished run in `hftrain.lineage`.
"""

import logging
import os

from hftrain.errors import ArtifactError, ConfigError, DataError, HftrainError

__all__ = ["ArtifactError", "ConfigError", "DataError", "HftrainError", "__version__"]
__version__ = "0.1.0"

# TRL reports each trainer's use to the Hub unless told not to; what people train is their own affair.
# Source: https://huggingface.co/docs/trl/usage_stats
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

# bitsandbytes warns at import that an optional kernel package is absent; its own CPU code then serves, as meant here.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
