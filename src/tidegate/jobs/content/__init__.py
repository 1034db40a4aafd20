"""The job type `content.generate`: text, or JSON of a given schema, by a language model."""
