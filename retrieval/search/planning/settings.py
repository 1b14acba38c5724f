"""The settings of planning: which steps are taken, and what rewritten words are worth."""

from pydantic import BaseModel, ConfigDict, Field


class PlanningSettings(BaseModel):
    """Each step can be switched off by itself, for measuring what it gives."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    aliases: bool = Field(True, description="Search what the alias tables say that an expression also means.")
    spelling: bool = Field(True, description="Correct words that neither the catalogue nor a table knows.")
    negation: bool = Field(True, description="Rule out what `no`, `que no sea` and `sin` name.")
    quantity: bool = Field(True, description="Take asking words and quantities off the query.")
    dense_rewriting: bool = Field(True, description="Search the vectors also in the words that the catalogue uses.")
    synonym_weight: float = Field(0.8, ge=0, le=1, description="Weight of a two-way synonym beside the typed word's 1.")
    alias_weight: float = Field(0.6, ge=0, le=1, description="Weight of a word that may mean something else as well.")
    quantity_weight: float = Field(1.0, ge=0, le=1, description="Weight of the number and package taken off.")
    dense_rewriting_margin: float = Field(
        1.0, ge=0, description="How many times more products the rewriting must name than the typed words do."
    )
