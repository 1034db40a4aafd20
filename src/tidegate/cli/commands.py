"""The tree of commands. Each is named here and lives elsewhere, so that `--help` starts fast."""

from importlib.metadata import version

from cyclopts import App

app = App(
    name="tidegate",
    help="Background jobs for handlers that call things that fail.",
    version=lambda: version("tidegate"),
    result_action="return_value",
)
app.register_install_completion_command(
    name="completion", add_to_startup=False, help="Write a shell completion script (bash, zsh, fish)."
)
app.command("tidegate.cli.serving:serve", name="serve", help="Serve the HTTP API with an embedded worker.")
app.command(
    "tidegate.cli.serving:work",
    name="worker",
    help="Run jobs, without the API; not beside a server on the embedded store.",
)
app.command("tidegate.cli.doctor:doctor", name="doctor", help="Check settings, engine, artifacts and server.")
app.command("tidegate.cli.provider:provider", name="provider", help="Serve a fake provider with scripted outages.")

jobs = App(name="jobs", help="Submit jobs, look at them, wait for them.", result_action="return_value")
jobs.command("tidegate.cli.jobs:show_jobs", name="list", help="List jobs, newest first.")
jobs.command("tidegate.cli.jobs:show_job", name="show", help="Show one job and its history.")
jobs.command("tidegate.cli.jobs:submit", name="submit", help="Submit a job; upload a file first with --file.")
jobs.command("tidegate.cli.jobs:cancel", name="cancel", help="Cancel a job, or ask its run to stop.")
jobs.command("tidegate.cli.jobs:retry", name="retry", help="Queue a failed or cancelled job again.")
jobs.command("tidegate.cli.jobs:wait", name="wait", help="Wait for a job and print its result.")
app.command(jobs)

db = App(name="db", help="The engine's schema.", result_action="return_value")
db.command("tidegate.cli.doctor:migrate", name="migrate", help="Bring the schema up to this release.")
app.command(db)
