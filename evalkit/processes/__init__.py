"""Child processes that answer requests: workers with limits, and the pool that starts and ends them."""
