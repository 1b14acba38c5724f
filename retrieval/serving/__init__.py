"""What every HTTP face of ours shares: problem details, access by tenant, the bound on bodies, and each request's context."""
