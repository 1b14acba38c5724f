"""What the replica tells its operators: metrics, the report for the API workers, health over HTTP."""
