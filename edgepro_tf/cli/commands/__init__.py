"""One module a subcommand: its docstring is the help text."""
