"""Attacking a public model as a thief would, and reporting what he gained."""
