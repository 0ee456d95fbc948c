"""The dialect of Cloudflare Workflows, below `/client/v4/accounts/{account_id}/workflows`.

Cloudflare's words (instance, envelope, waitingForPause and so on) are used here and nowhere below.
"""
