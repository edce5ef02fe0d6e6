"""Who may do what: the action table, relations, accounts, sign-in sessions, audit."""
