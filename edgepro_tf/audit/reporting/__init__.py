"""What an audit says: the thief's advantage, tables, plots, one page."""
