"""What protection costs: `make bench` measures it, nothing here gates anything."""
