"""What an attacker works with: starts, trainers, searches, and scratch beside them."""
