"""What `optsync metrics` serves: Prometheus' text and a verdict of health, made of what the database says.

    reading      one look at a time, kept for some seconds, given up after some seconds
    collector    the look as Prometheus' families
    health       the look as parts that are well or not, each with its reason
    server       both over HTTP

Nothing here measures a sync: syncs write what is counted (storage/metric_totals.py). Alerts to people are alerts'.
"""
