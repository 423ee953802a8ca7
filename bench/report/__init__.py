"""What was measured, as tables, Markdown and plots, and what a rate of webhooks takes."""
