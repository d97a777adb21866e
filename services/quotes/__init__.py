"""What a grid will cost before it runs: a count of the work, the machine's rates, and what earlier cohorts took."""
