"""A fake provider of the OpenAI kind, with outages that a script sets: `tidegate provider`.

Timeline (what shall happen) → script (what holds now) → decision (what becomes of one call) → answers (the bytes).
Its log, not the client's, is the ground truth of what was called, when, and with which outcome.
"""
