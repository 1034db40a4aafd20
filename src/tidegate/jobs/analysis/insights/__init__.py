"""From key figures to sentences, each with the figures it rests on."""
