"""The kinds of notice at the top of a page: one list for the server's flashes, the scripts' `say` and the style sheet."""

KINDS = ("info", "success", "warn", "error")
