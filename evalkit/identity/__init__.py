"""The identity of code in a signature: a declared version, or a digest of all code that it reaches."""
