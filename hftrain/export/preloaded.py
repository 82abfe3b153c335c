"""What the process imports from which measured ones are forked, and how it ends: with the one that started it.

Python's own fork server looks for the end of who started it, and leaves a terminal's Ctrl-C to that one, only once its
imports are over, which takes seconds.
"""

import signal

from hftrain.runtime import end_with_parent

signal.signal(signal.SIGINT, signal.SIG_IGN)
end_with_parent()

import torch  # noqa: E402, F401
import transformers.generation.utils  # noqa: E402, F401

import hftrain.export.folders  # noqa: E402, F401
