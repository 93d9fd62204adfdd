"""Geometry of the drawn graph of a workflow template: nodes in columns from left to right, and their links."""

from __future__ import annotations

from typing import Any, NamedTuple

from gpu_runner.protocol.workflows.template import Workflow, links

WIDTH, GAP_X, GAP_Y, LINE, HEAD, MARGIN = 190, 60, 18, 16, 26, 10
MAX_LINES = 6
MAX_LETTERS = 26


class Line(NamedTuple):
    """An input with a constant value, and the slot that fills it in."""

    y: int
    text: str
    slot: str


class Box(NamedTuple):
    key: str
    title: str
    x: int
    y: int
    height: int
    lines: list[Line]
    is_output: bool

    @property
    def slots(self) -> str:
        return ", ".join(dict.fromkeys(line.slot for line in self.lines if line.slot))


class Drawing(NamedTuple):
    width: int
    height: int
    boxes: list[Box]
    links: list[str]  # SVG paths


def drawn(workflow: Workflow) -> Drawing:
    """Place every node to the right of all that it depends on, and one column before the first that depends on it."""
    columns = _columns(workflow)
    slot_of = {
        (target.node, target.input): slot for slot in workflow.slots for target in workflow.targets(slot)
    }
    tops: dict[int, int] = {}
    boxes: dict[str, Box] = {}
    for key in sorted(workflow.graph, key=lambda key: columns[key]):
        column = columns[key]
        top = tops.get(column, MARGIN)
        lines = _lines(workflow, key, slot_of, top)
        height = HEAD + LINE * len(lines) + (6 if lines else 0)
        node = workflow.graph[key]
        x = MARGIN + column * (WIDTH + GAP_X)
        title = _short(f"{key} {node.class_type}")
        boxes[key] = Box(key, title, x, top, height, lines, key in workflow.output_nodes)
        tops[column] = top + height + GAP_Y
    paths = [
        _path(boxes[origin], boxes[key])
        for key, node in workflow.graph.items()
        for _name, origin, _output in links(node.inputs)
    ]
    width = (max(columns.values()) + 1) * (WIDTH + GAP_X) - GAP_X + 2 * MARGIN
    return Drawing(
        width, max(tops.values()) - GAP_Y + MARGIN, list(boxes.values()), list(dict.fromkeys(paths))
    )


def _columns(workflow: Workflow) -> dict[str, int]:
    """Column of each node. Nodes of a circle, which ComfyUI refuses, stay where the last pass left them."""
    columns = dict.fromkeys(workflow.graph, 0)
    for _pass in range(len(columns)):
        changed = False
        for key, node in workflow.graph.items():
            column = max((columns[origin] + 1 for _name, origin, _output in links(node.inputs)), default=0)
            if column != columns[key] and column < len(columns):
                columns[key], changed = column, True
        if not changed:
            break
    return _beside_their_users(workflow, columns)


def _beside_their_users(workflow: Workflow, columns: dict[str, int]) -> dict[str, int]:
    """Move nodes to the right, up to the first node that depends on them, so that links are short."""
    users: dict[str, list[str]] = {}
    for key, node in workflow.graph.items():
        for _name, origin, _output in links(node.inputs):
            users.setdefault(origin, []).append(key)
    moved = dict(columns)
    for key in sorted(columns, key=lambda key: -columns[key]):
        first = min((moved[user] for user in users.get(key, ())), default=columns[key] + 1)
        moved[key] = max(columns[key], first - 1)
    return moved


def _lines(workflow: Workflow, key: str, slot_of: dict[tuple[str, str], str], top: int) -> list[Line]:
    linked = {name for name, _origin, _output in links(workflow.graph[key].inputs)}
    constants = {name: value for name, value in workflow.graph[key].inputs.items() if name not in linked}
    names = sorted(constants, key=lambda name: (key, name) not in slot_of)[:MAX_LINES]
    return [
        Line(
            top + HEAD + LINE * index + 12,
            _short(f"{name}: {constants[name]}"),
            slot_of.get((key, name), ""),
        )
        for index, name in enumerate(names)
    ]


def _short(text: Any) -> str:
    line = " ".join(str(text)[:200].split())
    return line if len(line) <= MAX_LETTERS else f"{line[: MAX_LETTERS - 1]}…"


def _path(origin: Box, target: Box) -> str:
    x1, y1, x2, y2 = origin.x + WIDTH, origin.y + HEAD // 2, target.x, target.y + HEAD // 2
    bend = max(30, abs(x2 - x1) // 2)
    return f"M{x1} {y1} C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"
