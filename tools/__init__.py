"""What makes files that are committed; nothing here is installed."""
