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
app.command("tidegate.cli.top:top", name="top", help="Watch queues, upstreams and workers.")
app.command("tidegate.cli.workers:list_workers", name="workers", help="List the workers.")
app.command("tidegate.cli.doctor:doctor", name="doctor", help="Check settings, engine, artifacts and server.")
app.command("tidegate.cli.bench.command:bench", name="bench", help="Submit many jobs at once, and say how fast.")
app.command("tidegate.cli.provider:provider", name="provider", help="Serve a fake provider with scripted outages.")

jobs = App(name="jobs", help="Submit jobs, look at them, wait for them.", result_action="return_value")
jobs.command("tidegate.cli.jobs:show_jobs", name="list", help="List jobs, newest first.")
jobs.command("tidegate.cli.jobs:show_job", name="show", help="Show one job and its history.")
jobs.command("tidegate.cli.jobs:submit", name="submit", help="Submit a job; upload a file first with --file.")
jobs.command("tidegate.cli.jobs:cancel", name="cancel", help="Cancel a job, or ask its run to stop.")
jobs.command("tidegate.cli.jobs:retry", name="retry", help="Queue a failed or cancelled job again.")
jobs.command("tidegate.cli.jobs:wait", name="wait", help="Wait for a job and print its result.")
app.command(jobs)

dlq = App(name="dlq", help="Dead letters: retry or dismiss many at a time.", result_action="return_value")
dlq.command("tidegate.cli.dlq:list_letters", name="list", help="List dead letters, newest first.")
dlq.command("tidegate.cli.dlq:retry", name="retry", help="Queue dead letters again, as if new.")
dlq.command("tidegate.cli.dlq:dismiss", name="dismiss", help="Take dead letters off the list; they stay failed.")
app.command(dlq)

upstreams = App(name="upstreams", help="The health of upstreams; what to do in outages.", result_action="return_value")
upstreams.command("tidegate.cli.upstreams:list_upstreams", name="list", help="List the upstreams and their health.")
upstreams.command("tidegate.cli.upstreams:show_upstream", name="show", help="Show one upstream's health.")
upstreams.command("tidegate.cli.upstreams:show_history", name="history", help="Show what changed, newest first.")
upstreams.command("tidegate.cli.upstreams:open_upstream", name="open", help="Let no job through.")
upstreams.command(
    "tidegate.cli.upstreams:close_upstream",
    name="close",
    help="Forbid the breaker to open; Retry-After and the limit hold.",
)
upstreams.command("tidegate.cli.upstreams:off", name="off", help="Hold nothing back.")
upstreams.command("tidegate.cli.upstreams:clear", name="clear", help="Let the breaker decide again.")
upstreams.command("tidegate.cli.upstreams:reset", name="reset", help="Close the breaker now and ramp up.")
app.command(upstreams)

queues = App(name="queues", help="What lies in queues; pause and resume them.", result_action="return_value")
queues.command("tidegate.cli.queues:list_queues", name="list", help="List the queues and their jobs.")
queues.command("tidegate.cli.queues:show_queue", name="show", help="Show one queue, and how its breaker stands.")
queues.command("tidegate.cli.queues:pause", name="pause", help="Let none of a queue's jobs start; running ones go on.")
queues.command("tidegate.cli.queues:resume", name="resume", help="Let a queue's jobs start again, a few at first.")
app.command(queues)

keys = App(name="keys", help="API keys: from the first one on, requests need one.", result_action="return_value")
keys.command("tidegate.cli.keys:list_keys", name="list", help="List the keys.")
keys.command("tidegate.cli.keys:create", name="create", help="Make a key; its text is told once.")
keys.command("tidegate.cli.keys:rotate", name="rotate", help="Give a key a new text; the former is taken for 24 h.")
keys.command("tidegate.cli.keys:revoke", name="revoke", help="Take a key away.")
app.command(keys)

schedules = App(name="schedules", help="What runs by the clock; pause and resume it.", result_action="return_value")
schedules.command("tidegate.cli.schedules:list_schedules", name="list", help="List the schedules and their next ticks.")
schedules.command("tidegate.cli.schedules:show_schedule", name="show", help="Show one schedule and its next ticks.")
schedules.command("tidegate.cli.schedules:pause", name="pause", help="Let no tick make a job.")
schedules.command("tidegate.cli.schedules:resume", name="resume", help="Let ticks make jobs again, from now on.")
schedules.command("tidegate.cli.schedules:trigger", name="trigger", help="Make one job now; prints its id.")
schedules.command("tidegate.cli.schedules:delete", name="delete", help="Remove a schedule; its jobs stay.")
app.command(schedules)

db = App(name="db", help="The engine's schema.", result_action="return_value")
db.command("tidegate.cli.doctor:migrate", name="migrate", help="Bring the schema up to this release.")
app.command(db)
