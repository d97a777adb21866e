"""From the arms of experiments to a comparison: every arm, every pair, and what may be said of them."""
