"""Faults in a SavedModel: bytes of its files, or names, types, shapes and links in its graphs."""

from __future__ import annotations

import shutil
from pathlib import Path

from fuzz.mutations import damaged
from hypothesis import strategies as st
from tensorflow.core.protobuf import saved_model_pb2

FILES = ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"]

_OPS = ["Const", "Add", "VarHandleOp", "NoSuchOp", "While", "PartitionedCall", "RestoreV2"]
_SIZES = [-5, 0, 7, 2**31, 2**62]


def restore(whole: Path, folder: Path) -> None:
    """Makes the folder a copy of the whole export."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(whole, folder)


def faults(whole: Path):
    """Strategy of (file, contents) to write into a copy of the export."""
    contents = {name: (whole / name).read_bytes() for name in FILES}
    plain = [st.tuples(st.just(name), damaged([contents[name]])) for name in FILES]
    graphs = st.tuples(st.just(FILES[0]), wrong_graph(contents[FILES[0]]))
    return st.one_of(*plain, graphs, graphs, graphs)


@st.composite
def wrong_graph(draw, whole: bytes) -> bytes:
    """A well-formed protocol buffer of nonsense."""
    model = saved_model_pb2.SavedModel.FromString(whole)
    graph = model.meta_graphs[0]
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            _damage_node(draw, graph.graph_def)
        else:
            _damage_object(draw, graph.object_graph_def)
    return model.SerializeToString()


def _damage_node(draw, graph) -> None:
    index = draw(st.integers(-1, len(graph.library.function) - 1))
    nodes = graph.node if index < 0 else graph.library.function[index].node_def
    node, other = (nodes[draw(st.integers(0, len(nodes) - 1))] for _ in range(2))
    fault = draw(st.sampled_from(["op", "name", "input", "inputs", "attribute", "attributes"]))
    if fault == "op":
        node.op = draw(st.sampled_from(_OPS))
    elif fault == "name":
        node.name = other.name
    elif fault == "input" and node.input:
        names = ["", "^x", "x:9", node.name, other.name, other.name + ":0"]
        node.input[draw(st.integers(0, len(node.input) - 1))] = draw(st.sampled_from(names))
    elif fault == "inputs":
        del node.input[:1]
    elif fault == "attribute" and node.attr:
        _damage_attribute(draw, node.attr[draw(st.sampled_from(sorted(node.attr)))])
    elif node.attr:
        del node.attr[draw(st.sampled_from(sorted(node.attr)))]


def _damage_attribute(draw, attribute) -> None:
    kind = attribute.WhichOneof("value")
    size = draw(st.sampled_from(_SIZES))
    if kind == "shape":
        attribute.shape.dim.add().size = size
    elif kind == "tensor":
        attribute.tensor.tensor_shape.dim.add().size = size
    elif kind == "func":
        attribute.func.name = "no such function"
    elif kind == "i":
        attribute.i = size
    else:
        attribute.type = draw(st.integers(0, 30))


def _damage_object(draw, objects) -> None:
    node, other = (objects.nodes[draw(st.integers(0, len(objects.nodes) - 1))] for _ in range(2))
    fault = draw(st.sampled_from(["link", "name", "copy", "variable", "function", "captures"]))
    if fault == "link" and node.children:
        links = st.sampled_from([-1, 0, 1, len(objects.nodes), 2**31 - 1])
        node.children[0].node_id = draw(links)
    elif fault == "name" and node.children:
        names = st.sampled_from(["", "a/b", "signatures", "format", "task", "__class__"])
        node.children[-1].local_name = draw(names)
    elif fault == "copy":
        node.CopyFrom(other)
    elif fault == "variable":
        node.variable.dtype = draw(st.integers(0, 30))
        node.variable.shape.dim.add().size = draw(st.sampled_from(_SIZES))
    elif fault == "function":
        node.function.concrete_functions.append(draw(st.sampled_from(["", "no such function"])))
    else:
        functions = objects.concrete_functions
        function = functions[draw(st.sampled_from(sorted(functions)))]
        function.bound_inputs.append(draw(st.sampled_from([-1, 0, 10**6])))
