"""Send traffic as Meta would: signed, repeated, out of order."""
