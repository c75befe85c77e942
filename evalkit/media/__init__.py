"""Prepares pictures, clips and videos for sending to a model."""
