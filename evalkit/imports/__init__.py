"""Results of other tools as run files: lm-eval, Inspect, lighteval, HELM, and tables of one's own."""
