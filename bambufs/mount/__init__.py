"""What the kernel sees; decides nothing."""
