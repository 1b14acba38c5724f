"""A graph that the model's author exported (`onnx/model.onnx`), extended by what makes its output ours."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import onnx
from onnx import TensorProto, helper

from retrieval.encoders.export.graph import ATTENTION_MASK, EMBEDDING, GraphBuilder
from retrieval.encoders.export.pooling import pool_and_normalise
from schemas.errors import ConfigurationError

_TOKEN_OUTPUTS: Final = ("last_hidden_state", "token_embeddings")


def adopt_graph(path: Path, pooling: str) -> onnx.ModelProto:
    """The shipped graph with one output, unit vectors; its token vectors are pooled by appended nodes.

    Raises:
        ConfigurationError: the graph takes no attention mask, or returns no token vectors.
    """
    return adopt_output(path, _TOKEN_OUTPUTS, lambda tail, hidden: pool_and_normalise(tail, hidden, pooling))


def adopt_output(path: Path, outputs: Sequence[str], finish: Callable[[GraphBuilder, str], str]) -> onnx.ModelProto:
    """The shipped graph with one output: `finish` appended to the first of these outputs that it has.

    Raises:
        ConfigurationError: the graph takes no attention mask, or has none of the outputs.
    """
    model = onnx.load(path)
    graph = model.graph
    named = [output.name for output in graph.output]
    found = next((name for name in outputs if name in named), None)
    if found is None or ATTENTION_MASK not in {each.name for each in graph.input}:
        raise ConfigurationError(
            f"{path} has no input {ATTENTION_MASK} or none of the outputs {', '.join(outputs)}. Export it again with optimum."
        )
    for node in graph.node:
        # Optimum's own pooled output would clash with ours.
        node.output[:] = [f"shipped.{each}" if each == EMBEDDING else each for each in node.output]
        node.input[:] = [f"shipped.{each}" if each == EMBEDDING else each for each in node.input]
    tail = GraphBuilder(prefix="ferroflux.")
    finished = finish(tail, found)
    graph.node.extend(tail.nodes)
    graph.node.append(helper.make_node("Identity", [finished], [EMBEDDING], name=f"{tail.prefix}{EMBEDDING}"))
    graph.initializer.extend(tail.initializers)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["batch", None]))
    return model
