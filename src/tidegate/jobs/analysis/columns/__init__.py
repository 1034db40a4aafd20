"""From raw cells to columns with a kind and typed values."""
