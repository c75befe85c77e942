"""Processes that this one starts, asks over a socket and ends: each by itself, and a pool of them."""
