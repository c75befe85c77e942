"""Processes that this one starts, asks and ends: workers with limits, and the pool that keeps them."""
