"""Run the pipeline under a killed worker, and judge what became of every event."""
