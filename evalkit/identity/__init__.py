"""What code is in a signature: by a declared version, or by a digest of all that it reaches."""
