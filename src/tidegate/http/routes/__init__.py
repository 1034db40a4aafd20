"""What each place of the API answers, a module an area; each has `add_routes`."""
