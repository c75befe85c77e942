"""Pictures, made ready to be sent to a model."""
