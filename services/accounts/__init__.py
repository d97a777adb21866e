"""Who may do what: workspaces, the keys that open them, and the audit log of what was done with them."""
