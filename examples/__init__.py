"""Small workflows to read, run and copy from; README.md lists what each shows.

The demo site has this package among its installed apps, so its workers know all of them.
"""
