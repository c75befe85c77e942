"""Models of transformers in this process: prompts packed as trees, likelihoods, and texts in slots."""
