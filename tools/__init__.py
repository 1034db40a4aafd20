"""What the Makefile runs beside the tools that others made."""
