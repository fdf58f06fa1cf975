"""The daemon, on Trio: takes events in, opens windows, sends them, settles outcomes, and ends without losing any."""
