"""The bench: one catalogue laid out in both indexes, on which any number of systems are tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache

from retrieval.text.port import TextIndexReader
from retrieval.text.settings import FieldWeights
from retrieval.vectors.port import VectorIndex
from schemas.documents import SearchDocument
from schemas.errors import ConfigurationError
from schemas.identity import SkuKey, TenantId
from training.systems.embeddings import CachedEncoder
from training.systems.memo import memoised


@dataclass(frozen=True, slots=True)
class Bench:
    """What systems read: the documents, both indexes, the encoder.

    `open_reader` opens the text index with the given scoring weights. `digest` names the content, for saved runs.
    """

    name: str
    digest: str
    documents: Mapping[SkuKey, SearchDocument]
    vectors: VectorIndex
    encoder: CachedEncoder
    open_reader: Callable[[FieldWeights], TextIndexReader]

    @property
    def tenants(self) -> tuple[TenantId, ...]:
        """The tenants that have products, sorted."""
        return tuple(sorted({key.tenant for key in self.documents}))

    def remembering(self) -> Bench:
        """The same bench whose indexes answer every question once, for many configurations over the same queries."""
        open_reader = self.open_reader
        return replace(
            self,
            vectors=memoised(self.vectors),
            encoder=memoised(self.encoder),
            open_reader=cache(lambda weights: memoised(open_reader(weights))),
        )

    def tenant_of(self, named: str) -> TenantId:
        """The tenant that a query names; one that names none asks the only one.

        Raises:
            ConfigurationError: the catalogue has no such tenant, or several and the query names none.
        """
        tenants = self.tenants
        if named:
            if named in tenants:
                return TenantId(named)
            raise ConfigurationError(
                f"the catalogue has no tenant {named!r} that a judged query names; it has {tenants}"
            )
        if len(tenants) != 1:
            raise ConfigurationError(f"judged queries name no tenant, and the catalogue has {len(tenants)}")
        return tenants[0]
