"""Job types that come with Tidegate. Each is a package; none is imported before one of its jobs runs."""
