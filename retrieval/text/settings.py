"""Settings of the text index: where it lies, how much memory its writer takes, what each field counts."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class FieldWeights(BaseModel):
    """What a match in each field is worth beside the others, and how matches add up. Chosen on judged queries."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: float = Field(1.0, ge=0, description="Words and numbers of the title.")
    labels: float = Field(0.5, ge=0, description="Brand and category.")
    sizes: float = Field(0.8, ge=0, description="Canonical sizes of the title.")
    codes: float = Field(1.0, ge=0, description="SKU, part number, EAN, and the codes that the title names.")
    body: float = Field(0.3, ge=0, description="Description, bullets and attributes.")
    tie: float = Field(0.1, ge=0, le=1, description="Share that the weaker alternatives of a position add to the best.")
    coverage: float = Field(1.0, ge=0, description="Constant that each matched position adds to the score.")


class TextIndexSettings(BaseModel):
    """Where the text index lies and how it is written and scored."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: Path = Field(description="Folder of the index; made by the writer where it is missing.")
    heap_mb: int = Field(32, ge=15, le=4096, description="Memory of the writer before it spills a segment, in MB.")
    weights: FieldWeights = FieldWeights()
