"""From a file of unknown kind to one raw table."""
