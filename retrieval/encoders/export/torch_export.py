"""Any other sentence-transformers pipeline, traced with torch: needs the training extra, once, on any machine.

The serving installation has no torch; export there where training is installed and copy the cache folder, or save the
model with an `onnx/model.onnx`.
"""

import tempfile
import warnings
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnxruntime import InferenceSession

from retrieval.encoders.export.graph import ATTENTION_MASK, EMBEDDING, INPUT_IDS
from schemas.errors import ConfigurationError

_OPSET: Final = 17
_TOLERANCE: Final = 1e-4
"""Largest difference of a number of a unit vector between the traced graph and torch; above it the trace is wrong."""


def export_with_torch(folder: Path) -> onnx.ModelProto:
    """Trace the whole pipeline, every module included, and check the graph against torch on other shapes.

    Raises:
        ConfigurationError: the training extra is not installed, or the traced graph does not compute what torch does.
    """
    if find_spec("sentence_transformers") is None or find_spec("torch") is None:
        raise ConfigurationError(
            f"the model in {folder} is not a plain BERT with mean, CLS or max pooling, so its export needs torch: "
            "pip install 'ferroflux[training]', or save it with an onnx/model.onnx"
        )
    # Absent from a serving installation, so neither the imports nor the types can be taken for granted.
    torch: Any = import_module("torch")
    pipeline = (
        import_module("sentence_transformers")
        .SentenceTransformer(str(folder), device="cpu", model_kwargs={"attn_implementation": "eager"})
        .eval()
    )

    class UnitVectors(torch.nn.Module):  # type: ignore[misc] # an optional import is untyped
        def __init__(self) -> None:
            super().__init__()
            self.pipeline = pipeline

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            features = self.pipeline({INPUT_IDS: input_ids, ATTENTION_MASK: attention_mask})
            return torch.nn.functional.normalize(features["sentence_embedding"], dim=-1)

    module = UnitVectors().eval()
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad(), warnings.catch_warnings():
        # The tracer warns of every branch that it fixes; the check below is what decides.
        warnings.simplefilter("ignore")
        path = Path(scratch, "traced.onnx")
        axes = {0: "batch", 1: "tokens"}
        torch.onnx.export(
            module,
            _example(torch, batch=2, tokens=7),
            str(path),
            input_names=[INPUT_IDS, ATTENTION_MASK],
            output_names=[EMBEDDING],
            dynamic_axes={INPUT_IDS: axes, ATTENTION_MASK: axes, EMBEDDING: {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )
        for batch, tokens in ((1, 3), (3, 19)):
            _check(path, module, _example(torch, batch=batch, tokens=tokens))
        return onnx.load(path)


def _example(torch: Any, *, batch: int, tokens: int) -> tuple[Any, Any]:
    ids = torch.arange(batch * tokens).reshape(batch, tokens) % 7 + 3
    mask = torch.ones_like(ids)
    mask[-1, (tokens + 1) // 2 :] = 0
    return ids, mask


def _check(path: Path, module: Any, example: tuple[Any, Any]) -> None:
    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    feeds = dict(zip((INPUT_IDS, ATTENTION_MASK), (each.numpy() for each in example), strict=True))
    (traced,) = session.run(None, {name: feeds[name] for name in names})
    difference = float(np.abs(np.asarray(traced) - module(*example).numpy()).max())
    if not difference <= _TOLERANCE:
        raise ConfigurationError(
            f"the traced graph differs from torch by {difference:.1e}; export the model with optimum"
        )
