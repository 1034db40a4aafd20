"""From a typed table to key figures."""
