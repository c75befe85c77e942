"""Results as other tools' files (lm-eval, Inspect, model cards), and in MLflow, W&B and Trackio."""
