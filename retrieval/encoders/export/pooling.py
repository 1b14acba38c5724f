"""Pooling of token vectors and L2 normalisation as graph nodes, so that a session returns finished vectors."""

from typing import Final

import numpy as np

from retrieval.encoders.export.graph import ATTENTION_MASK, GraphBuilder
from retrieval.encoders.models.architecture import POOLINGS

_MASKED: Final = -1e30


def pool_and_normalise(graph: GraphBuilder, hidden: str, pooling: str) -> str:
    """From token vectors [batch, tokens, n] to unit vectors [batch, n].

    The mean is left as a sum: the division by the number of tokens cancels in the normalisation. Only operators whose
    form did not change between opsets are used, because these nodes are also appended to graphs that others exported.
    """
    flat = graph.constant("pooling.flat", np.array([0, -1], np.int64))
    if pooling == "cls":
        first = graph.constant("pooling.first", np.array(0, np.int64))
        pooled = graph.node("Gather", hidden, first, axis=1)
    elif pooling == "mean":
        as_row = graph.constant("pooling.row", np.array([0, 1, -1], np.int64))
        mask = graph.node("Cast", ATTENTION_MASK, to=1)
        summed = graph.node("MatMul", graph.node("Reshape", mask, as_row), hidden)
        pooled = graph.node("Reshape", summed, flat)
    elif pooling == "max":
        as_column = graph.constant("pooling.column", np.array([0, -1, 1], np.int64))
        mask = graph.node("Reshape", graph.node("Cast", ATTENTION_MASK, to=9), as_column)
        lowest = graph.constant("pooling.lowest", np.array(_MASKED, np.float32))
        masked = graph.node("Where", mask, hidden, lowest)
        # Global pooling works over the last axis of [batch, n, tokens], and has had one form since the first opset.
        turned = graph.node("Transpose", masked, perm=[0, 2, 1])
        pooled = graph.node("Reshape", graph.node("GlobalMaxPool", turned), flat)
    else:
        raise ValueError(f"pooling {pooling!r} is none of {POOLINGS}")
    return graph.node("LpNormalization", pooled, axis=-1, p=2)
