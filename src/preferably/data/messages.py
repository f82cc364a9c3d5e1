"""One turn of a conversation: `role` and `content`, ShareGPT's `from` and `value`, and calls of tools."""

import json
from typing import Any, cast

from preferably.data.columns import BadRow, Row, kind, list_of, shown, text_of
from preferably.data.json_values import Decoder, problem_in
from preferably.feedback.records import Message, Role

ROLES = ("system", "user", "assistant", "tool")
SHAREGPT = {
    "system": "system", "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant",
    "tool": "tool", "observation": "tool", "function_response": "tool", "function_call": "assistant",
}  # fmt: skip
CARRIED = ("tool_calls", "tool_call_id", "name")  # keys that chat templates read, kept as they are
KEYS = frozenset({"role", "content", "from", "value", "train", "weight", *CARRIED})


def turn(item: Any, field: str, row: Row) -> Message:
    """The message that `item` holds; `BadRow` where it holds none. What is mended is entered in `row`."""
    if not isinstance(item, dict):
        raise BadRow(field, "wrong_type", f"expected a message (an object), got {kind(item)}")
    if "role" not in item and "from" in item:
        item = _from_sharegpt(item, field)
    carried = _carried(item, field)
    if "role" not in item:
        raise BadRow(f"{field}.role", "missing_field", "a message needs role and content, or from and value")
    if "content" not in item and "tool_calls" not in carried:
        raise BadRow(f"{field}.content", "missing_field", "a message needs content")
    role = _role(item["role"], f"{field}.role", row)
    content = item.get("content")
    if isinstance(content, list):
        reason = "content in parts (text, images, audio) is not read; write the text parts as one text"
        raise BadRow(f"{field}.content", "unsupported", reason)
    if content is None and "tool_calls" in carried:
        content = ""  # null beside calls is what the servers of these models write
    # A tool may return nothing, and an assistant that calls one may say nothing.
    blank = role in ("system", "tool") or "tool_calls" in carried
    said = text_of(content, f"{field}.content", may_be_blank=blank)
    for key in item:
        if key not in KEYS and item[key] is not None:
            row.warnings["unread_column"] = f"{field}.{key}"
    fields = dumped(carried) if carried else ""
    return Message(cast(Role, role), said, _learnt(item, field), fields)


def _role(value: Any, field: str, row: Row) -> str:
    said = text_of(value, field)
    role = said.strip().lower()
    if role not in ROLES:
        hint = "; a developer message is written as system" if role == "developer" else ""
        raise BadRow(field, "unknown_role", f"{said[:40]!r} is none of {', '.join(ROLES)}{hint}")
    if role != said:
        row.repairs["role_spelling"] = field
    return role


def _from_sharegpt(item: dict[str, Any], field: str) -> dict[str, Any]:
    said = text_of(item["from"], f"{field}.from")
    speaker = said.strip().lower()
    if speaker not in SHAREGPT:
        raise BadRow(f"{field}.from", "unknown_role", f"{said[:40]!r} is none of {', '.join(SHAREGPT)}")
    if "value" not in item:
        raise BadRow(f"{field}.value", "missing_field", "a turn with `from` needs `value`")
    made = {key: value for key, value in item.items() if key not in ("from", "value")}
    # The spelling is kept where it is odd, so that mending it is counted in one place.
    made["role"] = SHAREGPT[speaker] if said == speaker else f" {SHAREGPT[speaker]}"
    if speaker == "function_call":
        return made | {"content": None, "tool_calls": text_of(item["value"], f"{field}.value")}
    return made | {"content": item["value"]}


def _carried(item: dict[str, Any], field: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in ("tool_call_id", "name"):
        if item.get(key) is not None:
            found[key] = text_of(item[key], f"{field}.{key}")
    if item.get("tool_calls"):
        found["tool_calls"] = _tool_calls(item["tool_calls"], f"{field}.tool_calls")
    return {key: found[key] for key in CARRIED if key in found}


def _tool_calls(value: Any, field: str) -> list[dict[str, Any]]:
    """Calls as chat templates read them: `{"type": "function", "function": {"name", "arguments": {...}}}`."""
    value = _json(value, field)
    made = []
    for index, call in enumerate([value] if isinstance(value, dict) else list_of(value, field)):
        where = f"{field}[{index}]"
        inner = call.get("function", call) if isinstance(call, dict) else call
        if not isinstance(inner, dict):
            raise BadRow(where, "bad_tool_call", f"expected an object with name and arguments, got {shown(inner)}")
        arguments = inner.get("arguments")
        arguments = _json({} if arguments in (None, "") else arguments, f"{where}.arguments")
        name = inner.get("name")
        if not isinstance(name, str) or not name.strip() or not isinstance(arguments, dict):
            raise BadRow(where, "bad_tool_call", "a call needs a name (text) and arguments (an object)")
        about = {key: call[key] for key in ("id", "type") if call.get(key) is not None}
        made.append({"type": "function"} | about | {"function": {"name": name, "arguments": arguments}})
    return made


def tools_of(row: Row) -> str:
    """The column `tools` as JSON: the functions that the assistant may call; empty where there are none."""
    value = row.get("tools")
    if value is None or value == "" or value == []:
        return ""
    found = _json(value, "tools")
    for index, tool in enumerate(list_of(found, "tools")):
        if tool_name(tool) is None:
            raise BadRow(f"tools[{index}]", "bad_tool_call", "a tool is an object with a name, or with `function`")
    return dumped(found) if found else ""


def tool_name(tool: Any) -> str | None:
    """What a tool or a call is named, in either of the two layouts."""
    inner = tool.get("function", tool) if isinstance(tool, dict) else None
    name = inner.get("name") if isinstance(inner, dict) else None
    return name if isinstance(name, str) and name.strip() else None


def _json(value: Any, field: str) -> Any:
    """`value`, read from text where it is written as such, as tables and OpenAI's `arguments` do."""
    if not isinstance(value, str):
        return value
    decoder = Decoder()
    try:
        found = decoder.whole(value)
    except RecursionError:
        raise BadRow(field, "too_deep", "nested too deep") from None
    except ValueError:
        raise BadRow(field, "bad_tool_call", f"expected JSON, got {shown(value)}") from None
    if problem := decoder.problem or problem_in(found):
        raise BadRow(field, *problem)
    return found


def dumped(value: Any) -> str:
    """`value` as the JSON that records hold: one form for one value, so that equal records are equal."""
    return json.dumps(value, ensure_ascii=False)


def _learnt(item: dict[str, Any], field: str) -> bool:
    train, weight = item.get("train"), item.get("weight")
    if train is not None and not isinstance(train, bool):
        raise BadRow(f"{field}.train", "wrong_type", f"expected true or false, got {shown(train)}")
    if weight is not None and (isinstance(weight, bool) or weight not in (0, 1)):
        raise BadRow(f"{field}.weight", "wrong_type", f"expected 0 or 1, got {shown(weight)}")
    return train is not False and weight != 0
