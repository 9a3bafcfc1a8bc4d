"""When Dagster calls the assets stale: by the clock, so that it is true while nothing runs that could say so.

Only an age can be told to Dagster, no calendar of holidays. So the age is one that no row of closed days exceeds; the
check `quote_age`, which knows the calendar, tells a single missed session.
"""

from datetime import timedelta

import dagster as dg

# From a daily sync to the next over a long weekend (Thursday before Good Friday to Monday, Friday to Tuesday) are 96 h;
# a test looks at the calendar. The rest is for a next sync that takes its time.
LONGEST_PAUSE = timedelta(days=4)
SLACK = timedelta(hours=8)

FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=LONGEST_PAUSE + SLACK)
