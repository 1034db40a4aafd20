"""`tidegate bench`: a load test of a server's `POST /jobs`, from outside."""
