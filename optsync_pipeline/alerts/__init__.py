"""Alerts: what a person is told without asking, once, and again when it is over.

    rules         every rule: what it looks at, when it fires, when it is over
    job_rules     those about ended and running syncs
    state_rules   those about providers and data, as they are now
    wording       their texts: job, figures, errors, the command that shows more
    messages      which incidents go out together, and what they say
    delivery      to the services, within a deadline, without a URL in any text
    sender        the child process that talks to them
    evaluation    one round: look, write what was found, tell it
    sensor        a round every 30 seconds

Incidents are kept by storage/alerts.py. What is shown of them on the command line is in cli/alerts.py.
"""
