"""Which place serves which line, at what cost, in how many days and why."""
