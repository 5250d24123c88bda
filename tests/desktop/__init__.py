"""Real file managers on a mount, in a screen that exists in memory only."""
