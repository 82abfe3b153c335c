"""Tools, and calls of them, as the text that a model reads and writes.

    <tool_call>
    {"name": "get_weather", "arguments": {"city": "Oslo"}}
    </tool_call>

Source: the chat templates of Qwen2.5 (https://huggingface.co/Qwen/Qwen2.5-7B-Instruct) and of Nous Hermes
(https://github.com/NousResearch/Hermes-Function-Calling), which agree in this.
"""

import json
from collections.abc import Mapping, Sequence

from hftrain.corpus.records import storable
from hftrain.errors import DataError

LISTED = "<tools>"
"""A system message that holds this lists its tools already."""

INTRODUCTION = """# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{signatures}
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""


def list_of_tools(value: object, place: str) -> str:
    """What a system message says of the tools; empty where there are none.

    Args:
        value: A list of JSON objects, or that list as JSON text.
        place: Where it stands, for the error.

    Raises:
        DataError: It is something else.
    """
    tools = _from_json(value, place, "A list of tools, each a JSON object,") if isinstance(value, str) else value
    if not isinstance(tools, Sequence) or not all(isinstance(tool, Mapping) for tool in tools):
        raise DataError(f"{place}: {_shown(value)}. A list of tools, each a JSON object, is needed. Mend the row.")
    return INTRODUCTION.format(signatures="\n".join(map(_json, tools))) if tools else ""


def calls_as_text(value: object, place: str) -> str:
    """Calls as an assistant writes them, in OpenAI's form (``{"function": {"name", "arguments"}}``) or without it.

    Args:
        value: One call or a list of them, as objects or as JSON text.
        place: Where it stands, for the error.

    Raises:
        DataError: A call has no name, or its arguments are no JSON object.
    """
    given = _from_json(value, place, "A call as a JSON object") if isinstance(value, str) else value
    calls = given if isinstance(given, list) else [given]
    if not calls:
        raise DataError(f"{place}: no call. At least one is needed. Mend the row.")
    return "\n".join(_call(call, place) for call in calls)


def _call(value: object, place: str) -> str:
    call = value.get("function", value) if isinstance(value, Mapping) else value
    if not isinstance(call, Mapping) or not isinstance(call.get("name"), str) or not call["name"]:
        raise DataError(f"{place}: {_shown(value)}. A call with a 'name' and 'arguments' is needed. Mend the row.")
    arguments = call.get("arguments", call.get("parameters"))
    if isinstance(arguments, str):
        needed = f"The arguments of {call['name']!r} as a JSON object"
        arguments = _from_json(arguments, place, needed) if arguments.strip() else {}
    if arguments is not None and not isinstance(arguments, Mapping):
        raise DataError(
            f"{place}: the arguments of {call['name']!r} are {_shown(arguments)}. A JSON object is needed. "
            "Mend the row."
        )
    return f"<tool_call>\n{_json({'name': call['name'], 'arguments': dict(arguments or {})})}\n</tool_call>"


def _from_json(text: str, place: str, needed: str) -> object:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as problem:
        raise DataError(f"{place}: {_shown(text)} is no JSON ({problem}). {needed} is needed. Mend the row.") from None


def _json(value: object) -> str:
    return storable(json.dumps(value, ensure_ascii=False, default=str))


def _shown(value: object) -> str:
    return "null" if value is None else f"{type(value).__name__} {str(value)[:60]!r}"
