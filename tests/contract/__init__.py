"""What a user may rely on, whatever lies between: one suite for every way to the card."""
