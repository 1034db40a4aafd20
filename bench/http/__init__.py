"""`POST /jobs` beside a bare Starlette route that validates the same body, under wrk."""
