"""A small builder of ONNX graphs: names, initializers and nodes, so that the network's module reads like the network."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from retrieval.encoders.models.architecture import POOLINGS
from retrieval.encoders.models.tensors import BLOCK_SIZE, BlockQuantisedMatrix, Weight

MICROSOFT: Final = "com.microsoft"
"""Domain of onnxruntime's fused and quantised operators."""

INPUT_IDS: Final = "input_ids"
ATTENTION_MASK: Final = "attention_mask"
TOKEN_TYPE_IDS: Final = "token_type_ids"  # noqa: S105 - the name of a model's input, no secret
EMBEDDING: Final = "sentence_embedding"

_OPSET: Final = 17
_IR_VERSION: Final = 9


@dataclass(slots=True)
class GraphBuilder:
    """Collects nodes in order; every method returns the name of the value that it adds, which starts with `prefix`."""

    prefix: str = ""
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)

    def constant(self, name: str, value: npt.NDArray[Any]) -> str:
        """An initializer with the array's type and shape."""
        full_name = self.prefix + name
        self.initializers.append(numpy_helper.from_array(np.asarray(value, order="C"), full_name))
        return full_name

    def nibbles(self, name: str, packed: npt.NDArray[np.uint8]) -> str:
        """An initializer of signed 4-bit integers, two to a byte, from unsigned ones that count from 8."""
        rows, half = packed.shape
        # nibble - 8 as a two's complement nibble is the nibble with its highest bit turned.
        signed = packed ^ np.uint8(0x88)
        self.initializers.append(
            helper.make_tensor(name, TensorProto.INT4, (rows, 2 * half), signed.tobytes(), raw=True)
        )
        return name

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """A node with one output; an empty input name leaves an optional input out."""
        output = f"{self.prefix}{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, domain=domain, **attributes))
        return output

    def node_of(self, operator: str, *inputs: str, outputs: int, domain: str = "", **attributes: Any) -> list[str]:
        """A node with several outputs; the names of them in their order."""
        name = f"{self.prefix}{operator}_{len(self.nodes)}"
        names = [f"{name}.{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name=name, domain=domain, **attributes))
        return names

    def gather_rows(self, name: str, table: Weight, indices: str) -> str:
        """Rows of an embedding table, [..., columns]; a table in 4-bit blocks stays so in memory and loses nothing."""
        if not isinstance(table, BlockQuantisedMatrix):
            return self.node("Gather", self.constant(name, table), indices, axis=0)
        return self.node(
            "GatherBlockQuantized",
            self.nibbles(name, table.packed),
            indices,
            self.constant(f"{name}.scales", table.scales),
            domain=MICROSOFT,
            gather_axis=0,
            quantize_axis=1,
            block_size=BLOCK_SIZE,
        )

    def finish(
        self, name: str, output: str, dimension: int, *, inputs: Sequence[str] = (INPUT_IDS, ATTENTION_MASK)
    ) -> onnx.ModelProto:
        """The model with its inputs, int64 [batch, tokens], and its output `sentence_embedding`, float32 [batch, dimension]."""
        self.nodes.append(helper.make_node("Identity", [output], [EMBEDDING], name=EMBEDDING))
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info(each, TensorProto.INT64, ["batch", "tokens"]) for each in inputs],
            [helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["batch", dimension])],
            self.initializers,
        )
        return helper.make_model(
            graph,
            producer_name="ferroflux",
            ir_version=_IR_VERSION,
            opset_imports=[helper.make_opsetid("", _OPSET), helper.make_opsetid(MICROSOFT, 1)],
        )


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
