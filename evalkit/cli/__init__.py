"""The command line: a module a command, each thin over the library."""
