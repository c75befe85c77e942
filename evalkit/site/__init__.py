"""The pages over a folder of runs: index, history, benchmarks, comparisons, and a static site of them."""
