"""The contracts of ferroflux, pure: identities, versions, change events, the merge, documents, API models, errors."""
