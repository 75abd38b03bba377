-- One row that a monitoring system can watch: all well is t, 0, 0.
SELECT COALESCE(bool_and(w.state = 'running'), false) AS all_run,
       COALESCE(sum(w.errors), 0) AS errors,
       COALESCE(max(w.outbox_pending), 0) AS unsent
  FROM trading.stat_workers AS w WHERE w.datname = current_database();
