"""Every awkward way of a real printer, met through a mount."""
