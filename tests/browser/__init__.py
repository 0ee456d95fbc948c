"""The console as people use it: a real browser on a real site with real workers."""
