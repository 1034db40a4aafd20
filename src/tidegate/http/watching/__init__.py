"""What the service counts and looks up about itself."""
