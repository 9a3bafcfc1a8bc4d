"""The sensors: what runs because something happened. One file a sensor, and here the list that the definitions take.

They watch our own tables and not Dagster's runs: run-status sensors miss runs of the implicit asset job (backfills,
`dagster asset materialize`), and each watches one status. What runs because it is time is in schedules/.

A sensor only chooses and asks for runs. What it chooses by is a query of storage or of sync/selection.py.
"""

from optsync_pipeline.sensors.alerts import alert_sensor
from optsync_pipeline.sensors.failed_symbols import failed_symbols_sensor
from optsync_pipeline.sensors.ranking import ranking_sensor
from optsync_pipeline.sensors.refresh import refresh_sensor
from optsync_pipeline.sensors.universe import universe_sensor
from optsync_pipeline.sensors.watchdog import watchdog_sensor

SENSORS = [refresh_sensor, failed_symbols_sensor, ranking_sensor, watchdog_sensor, universe_sensor, alert_sensor]
