"""Insights by a language model: it is shown figures by number, and what it says counts only if they bear it out."""
