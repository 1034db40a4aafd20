"""The worker: claims jobs, runs them, settles them, and looks after leases. One duty a file."""
