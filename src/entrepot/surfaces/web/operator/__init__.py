"""Pages of the platform operator: operations, finance, compliance, administration."""
