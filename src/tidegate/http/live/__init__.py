"""Answers that go on: streams of events and long polls."""
