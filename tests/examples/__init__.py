"""The examples do what they are there to show."""
