"""The peers, one file each; each is run in processes of its own (`python -m bench.peers.x`)."""
