"""This project and its peers, measured side by side. See README.md; run by `make bench`."""
