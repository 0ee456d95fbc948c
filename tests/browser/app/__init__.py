"""An app whose workflows the console shows."""
