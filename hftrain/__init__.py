"""From a folder of text to an aligned, quantized language model: thin recipes over Hugging Face libraries."""

import logging
import os

__version__ = "0.1.0"

# TRL reports each trainer's use to the Hub unless told not to; what people train is their own affair.
# Source: https://huggingface.co/docs/trl/usage_stats
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

# bitsandbytes warns at import that an optional kernel package is absent; its own CPU code then serves, as meant here.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
