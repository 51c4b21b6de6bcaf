"""The command line, ``edgepro …``."""
