"""A graph that the model's author exported (`onnx/model.onnx`), extended by pooling and normalisation."""

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
    model = onnx.load(path)
    graph = model.graph
    outputs = [output.name for output in graph.output]
    hidden = next((name for name in _TOKEN_OUTPUTS if name in outputs), None)
    if hidden is None or ATTENTION_MASK not in {each.name for each in graph.input}:
        raise ConfigurationError(
            f"{path} has no input {ATTENTION_MASK} or none of the outputs {', '.join(_TOKEN_OUTPUTS)}. Export it again with optimum."
        )
    for node in graph.node:
        # Optimum's own pooled output would clash with ours.
        node.output[:] = [f"shipped.{each}" if each == EMBEDDING else each for each in node.output]
        node.input[:] = [f"shipped.{each}" if each == EMBEDDING else each for each in node.input]
    tail = GraphBuilder(prefix="ferroflux.")
    pooled = pool_and_normalise(tail, hidden, pooling)
    graph.node.extend(tail.nodes)
    graph.node.append(helper.make_node("Identity", [pooled], [EMBEDDING], name=f"{tail.prefix}{EMBEDDING}"))
    graph.initializer.extend(tail.initializers)
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["batch", None]))
    return model
