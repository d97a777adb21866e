"""Programs that train the same networks in different ways, each a process of its own that waits for its turn."""
