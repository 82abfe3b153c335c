"""What the commands share."""

import argparse
import json
from collections.abc import Callable
from typing import Any

Command = Callable[[str, Callable[[argparse.Namespace], None], str], argparse.ArgumentParser]
"""Adds a command: its name, what it does, and a sentence for its help."""


def print_json(value: Any) -> None:
    """One JSON value on standard output."""
    print(json.dumps(value, ensure_ascii=False, indent=2))
