"""The demo: agents that delegate to each other, and attacks on what they hold."""
