"""How right a network's answers are, whatever they are."""
