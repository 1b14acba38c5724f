"""Weights as plain values: dense arrays read from a safetensors file, and matrices kept in their 4-bit blocks.

The serving installation has neither torch nor the safetensors package, and the file format is a JSON header before raw
little-endian bytes, so it is read here.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from retrieval.encoders.port import Matrix
from schemas.errors import ConfigurationError

BLOCK_SIZE: Final = 32
"""Weights that share one scale in a `BlockQuantisedMatrix`, along a row."""

_FLOATS: Final = {"F32": "<f4", "F16": "<f2", "F64": "<f8"}
_INTEGERS: Final = frozenset({"BOOL", "U8", "I8", "I16", "I32", "I64"})
_ZERO_POINT: Final = 8


@dataclass(frozen=True, slots=True)
class BlockQuantisedMatrix:
    """A matrix in 4-bit blocks: weight = (nibble - 8) * scale of its block of 32 along the row.

    `packed` is uint8 [rows, columns / 2], the even column in the low nibble; `scales` float32 [rows, columns / 32].
    """

    packed: npt.NDArray[np.uint8]
    scales: Matrix

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of the matrix that this stands for."""
        rows, half = self.packed.shape
        return rows, 2 * half

    def dequantised(self) -> Matrix:
        """The float32 matrix, exactly what a kernel computes from the blocks."""
        rows, columns = self.shape
        weights = np.empty((rows, columns), np.float32)
        weights[:, 0::2] = self.packed & 0x0F
        weights[:, 1::2] = self.packed >> 4
        weights -= _ZERO_POINT
        blocks = weights.reshape(rows, -1, BLOCK_SIZE)
        blocks *= self.scales[:, :, None]
        return weights


Weight = Matrix | BlockQuantisedMatrix


def dense(weight: Weight) -> Matrix:
    """The weight as a float32 array, whatever it is stored as."""
    return weight.dequantised() if isinstance(weight, BlockQuantisedMatrix) else weight


def read_safetensors(path: Path) -> dict[str, Matrix]:
    """All floating-point tensors of the file as float32, by name; integer buffers (position ids) are left out.

    Raises:
        ConfigurationError: the file is cut short or holds a type that is not a float of 16, 32 or 64 bits.
    """
    try:
        with path.open("rb") as stream:
            header_size = int.from_bytes(stream.read(8), "little")
            header: dict[str, Any] = json.loads(stream.read(header_size))
        data = np.memmap(path, np.uint8, mode="r", offset=8 + header_size)
        header.pop("__metadata__", None)
        return {name: _tensor(data, entry) for name, entry in header.items() if entry["dtype"] not in _INTEGERS}
    except (ValueError, KeyError, OverflowError, MemoryError) as error:
        raise ConfigurationError(f"{path.name} is not a readable safetensors file: {error}") from error


def write_safetensors(path: Path, tensors: dict[str, Weight]) -> None:
    """Write the tensors as float32, decoding one at a time, so that memory never holds more than the largest."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in tensors.items():
        end = offset + 4 * int(np.prod(tensor.shape))
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    encoded = json.dumps(header).encode()
    encoded += b" " * (-len(encoded) % 8)
    with path.open("wb") as stream:
        stream.write(len(encoded).to_bytes(8, "little"))
        stream.write(encoded)
        for tensor in tensors.values():
            stream.write(np.ascontiguousarray(dense(tensor)).astype("<f4", copy=False).data)


def _tensor(data: npt.NDArray[np.uint8], entry: dict[str, Any]) -> Matrix:
    begin, end = entry["data_offsets"]
    raw = data[begin:end].tobytes()
    dtype = entry["dtype"]
    if dtype == "BF16":
        # bfloat16 is the upper half of a float32.
        values = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif dtype in _FLOATS:
        values = np.frombuffer(raw, _FLOATS[dtype]).astype(np.float32, copy=False)
    else:
        raise ValueError(f"tensors of type {dtype} are not supported")
    return values.reshape(entry["shape"])
