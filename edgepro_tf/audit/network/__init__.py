"""The public file as a network that can be trained: the thief's real position."""
