"""Conversion of a workflow from the format of ComfyUI's editor to that of its API.

The editor stores the values of a node as a list, in the order of its widgets; only the server's ``/object_info`` names
them. A file is converted only if every value can be assigned to an input of its type, and refused otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gpu_runner.protocol.workflows.server_check import choices, is_dynamic

MAX_NODES = 500
MAX_HOPS = 500
COMMENTS = frozenset({"Note", "MarkdownNote"})
REROUTE, PRIMITIVE = "Reroute", "PrimitiveNode"
WIDGET_TYPES: dict[str, tuple[type, ...]] = {
    "INT": (int,),
    "FLOAT": (int, float),
    "STRING": (str,),
    "BOOLEAN": (bool,),
    "COMBO": (str, int, float, bool),
}
SEEDS = ("seed", "noise_seed")
AFTER_GENERATE = ("fixed", "increment", "decrement", "randomize")
MUTED, BYPASSED = 2, 4

Origin = tuple[str, int]


class NotConvertible(ValueError):
    """The file cannot be converted with what the server tells about its nodes; the message says why."""


def is_editor_format(document: Any) -> bool:
    return isinstance(document, dict) and isinstance(document.get("nodes"), list)


def converted(document: Mapping[str, Any], object_info: Mapping[str, Any]) -> dict[str, Any]:
    """Return the graph in API format. Raises NotConvertible."""
    editor = _Editor(document, object_info)
    graph = {key: editor.api_node(key) for key in editor.nodes if editor.is_executed(key)}
    if not graph:
        raise NotConvertible("the file has no nodes that are executed")
    return graph


class _Editor:
    def __init__(self, document: Mapping[str, Any], object_info: Mapping[str, Any]) -> None:
        self.object_info = object_info
        self.nodes: dict[str, dict[str, Any]] = {}
        nodes = document.get("nodes")
        if not isinstance(nodes, list) or len(nodes) > MAX_NODES:
            raise NotConvertible(f"the file must have a list of at most {MAX_NODES} nodes")
        for node in nodes:
            if not isinstance(node, dict) or not isinstance(node.get("id"), int | str):
                raise NotConvertible("a node has no id")
            if not isinstance(node.get("type"), str):
                raise NotConvertible(f"node {node['id']} has no type")
            self.nodes[str(node["id"])] = node
        self.origins = _origins(document.get("links"))

    def is_executed(self, key: str) -> bool:
        node = self.nodes[key]
        return node["type"] not in (*COMMENTS, REROUTE, PRIMITIVE) and node.get("mode") not in (
            MUTED,
            BYPASSED,
        )

    def api_node(self, key: str) -> dict[str, Any]:
        node = self.nodes[key]
        info = self.object_info.get(node["type"])
        if info is None:
            raise NotConvertible(self._unknown(key))
        inputs = self._widget_values(key, info)
        for socket in _records(node.get("inputs")):
            source = self._source(socket.get("link"))
            if source is not None and isinstance(socket.get("name"), str):
                inputs[socket["name"]] = source
        return {"class_type": node["type"], "inputs": inputs}

    def _unknown(self, key: str) -> str:
        class_type = self.nodes[key]["type"]
        if len(class_type) == 36 and class_type.count("-") == 4:
            return f"node {key} is a subgraph"
        return f"the server does not have the node class {class_type[:100]} (node {key})"

    def _widget_values(self, key: str, info: Mapping[str, Any]) -> dict[str, Any]:
        """Values of the node by input. Inputs that are linked have one, too, which the link replaces."""
        node = self.nodes[key]
        values = node.get("widgets_values") or []
        specs = {
            name: spec
            for part in ("required", "optional")
            for name, spec in info["input"].get(part, {}).items()
        }
        if any(is_dynamic(spec) for spec in specs.values()):
            raise NotConvertible(f"node {key} ({node['type']}) has inputs that depend on their values")
        if isinstance(values, dict):
            return {name: values[name] for name in specs if name in values}
        if not isinstance(values, list):
            raise NotConvertible(f"node {key}: widgets_values must be a list")
        rest = list(values)
        found: dict[str, Any] = {}
        for name, spec in specs.items():
            kinds = _widget_types(spec)
            if not kinds:
                continue
            if not rest:
                break  # optional inputs that are newer than the file
            value = rest.pop(0)
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
                raise NotConvertible(f"node {key} ({node['type']}): {value!r:.100} is no value of {name}")
            found[name] = value
            if (
                rest
                and rest[0] in AFTER_GENERATE
                and (name in SEEDS or _option(spec, "control_after_generate"))
            ):
                rest.pop(0)
        if any(
            value not in ("image", "", None) for value in rest
        ):  # what remains are buttons, such as that of an upload
            raise NotConvertible(f"node {key} ({node['type']}) has more values than inputs")
        return found

    def _source(self, link: Any) -> Any:
        """What an input is linked to: ``[node, output]``, the value of a primitive, or None."""
        for _hop in range(MAX_HOPS):
            origin = self.origins.get(link) if isinstance(link, int) else None
            node = self.nodes.get(origin[0]) if origin else None
            if origin is None or node is None or node.get("mode") == MUTED:
                return None
            if node["type"] == PRIMITIVE:
                values = node.get("widgets_values")
                return values[0] if isinstance(values, list) and values else None
            if node["type"] == REROUTE:
                link = next((socket.get("link") for socket in _records(node.get("inputs"))), None)
            elif node.get("mode") == BYPASSED:
                link = _bypass(node, origin[1])
            else:
                return [origin[0], origin[1]]
        raise NotConvertible("the links of reroutes form a circle")


def _records(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _origins(links: Any) -> dict[int, Origin]:
    """Origin of each link, which is a list ``[id, node, output, …]`` or, in version 1, an object."""
    found: dict[int, Origin] = {}
    for link in links if isinstance(links, list) else []:
        if isinstance(link, dict):
            link = [link.get("id"), link.get("origin_id"), link.get("origin_slot")]
        if (
            not isinstance(link, list)
            or len(link) < 3
            or type(link[0]) is not int
            or type(link[2]) is not int
        ):
            raise NotConvertible("a link has the wrong format")
        found[link[0]] = (str(link[1]), link[2])
    return found


def _bypass(node: Mapping[str, Any], output: int) -> Any:
    """The link that a bypassed node passes on at an output: that of its input of the same type."""
    outputs = _records(node.get("outputs"))
    wanted = outputs[output].get("type") if 0 <= output < len(outputs) else None
    same = [socket for socket in _records(node.get("inputs")) if socket.get("type") == wanted]
    linked = [socket["link"] for socket in same if socket.get("link") is not None]
    return linked[0] if linked else None


def _widget_types(spec: Any) -> tuple[type, ...]:
    """Types of the values of an input that the editor shows as a widget; empty for sockets."""
    if not isinstance(spec, list) or not spec or _option(spec, "forceInput"):
        return ()
    if choices(spec) is not None:
        return WIDGET_TYPES["COMBO"]
    return WIDGET_TYPES.get(spec[0], ()) if isinstance(spec[0], str) else ()


def _option(spec: Any, name: str) -> bool:
    return len(spec) > 1 and isinstance(spec[1], dict) and bool(spec[1].get(name))
