"""Any other sentence-transformers pipeline (encoder, cross-encoder, sparse encoder), traced with torch: needs the training extra, once, on any machine.

The serving installation has no torch; export there where training is installed and copy the cache folder, or save the
model with an `onnx/model.onnx`.
"""

import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from onnxruntime import InferenceSession

from retrieval.encoders.export.graph import ATTENTION_MASK, EMBEDDING, INPUT_IDS, TOKEN_TYPE_IDS
from schemas.errors import ConfigurationError

_OPSET: Final = 17
_TOLERANCE: Final = 1e-4
"""Largest difference of a number of the output between the traced graph and torch; above it the trace is wrong."""


@dataclass(frozen=True, slots=True)
class Traced:
    """What is traced: the class of sentence-transformers that loads the folder, and the output as a function of its features.

    `finish` gets torch and the features that the pipeline's modules leave behind; it returns [batch, dimension].
    """

    loader: str
    finish: Callable[[Any, Any], Any]
    built: str
    """What the exporter builds without torch, for the message where torch is missing."""
    inputs: tuple[str, ...] = (INPUT_IDS, ATTENTION_MASK)


TEXT: Final = Traced(
    "SentenceTransformer",
    lambda torch, features: torch.nn.functional.normalize(features["sentence_embedding"], dim=-1),
    "plain BERT or XLM-RoBERTa with mean, CLS or max pooling",
)


def export_with_torch(folder: Path, what: Traced = TEXT) -> onnx.ModelProto:
    """Trace the whole pipeline, every module included, and check the graph against torch on other shapes.

    Raises:
        ConfigurationError: the training extra is not installed, or the traced graph does not compute what torch does.
    """
    if find_spec("sentence_transformers") is None or find_spec("torch") is None:
        raise ConfigurationError(
            f"the model in {folder} is not a {what.built}, so its export needs torch: "
            "pip install 'ferroflux[training]', or save it with an onnx/model.onnx"
        )
    # Absent from a serving installation, so neither the imports nor the types can be taken for granted.
    torch: Any = import_module("torch")
    loader = getattr(import_module("sentence_transformers"), what.loader)
    pipeline = loader(str(folder), device="cpu", model_kwargs={"attn_implementation": "eager"}).eval()

    class Finished(torch.nn.Module):  # type: ignore[misc] # an optional import is untyped
        def __init__(self) -> None:
            super().__init__()
            self.pipeline = pipeline

        def forward(self, *inputs: Any) -> Any:
            return what.finish(torch, self.pipeline(dict(zip(what.inputs, inputs, strict=True))))

    module = Finished().eval()
    with tempfile.TemporaryDirectory() as scratch, torch.no_grad(), warnings.catch_warnings():
        # The tracer warns of every branch that it fixes; the check below is what decides.
        warnings.simplefilter("ignore")
        path = Path(scratch, "traced.onnx")
        axes = {0: "batch", 1: "tokens"}
        torch.onnx.export(
            module,
            _example(torch, what.inputs, batch=2, tokens=7),
            str(path),
            input_names=list(what.inputs),
            output_names=[EMBEDDING],
            dynamic_axes={**dict.fromkeys(what.inputs, axes), EMBEDDING: {0: "batch"}},
            opset_version=_OPSET,
            dynamo=False,
        )
        for batch, tokens in ((1, 3), (3, 19)):
            _check(path, module, what.inputs, _example(torch, what.inputs, batch=batch, tokens=tokens))
        return onnx.load(path)


def _example(torch: Any, inputs: Sequence[str], *, batch: int, tokens: int) -> tuple[Any, ...]:
    ids = torch.arange(batch * tokens).reshape(batch, tokens) % 7 + 3
    mask = torch.ones_like(ids)
    mask[-1, (tokens + 1) // 2 :] = 0
    types = (torch.arange(tokens) > tokens // 3).long().expand(batch, tokens).contiguous()
    return tuple({INPUT_IDS: ids, ATTENTION_MASK: mask, TOKEN_TYPE_IDS: types}[name] for name in inputs)


def _check(path: Path, module: Any, inputs: Sequence[str], example: tuple[Any, ...]) -> None:
    session = InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [each.name for each in session.get_inputs()]
    feeds = dict(zip(inputs, (each.numpy() for each in example), strict=True))
    (traced,) = session.run(None, {name: feeds[name] for name in names})
    difference = float(np.abs(np.asarray(traced) - module(*example).numpy()).max())
    if not difference <= _TOLERANCE:
        raise ConfigurationError(
            f"the traced graph differs from torch by {difference:.1e}; export the model with optimum"
        )
