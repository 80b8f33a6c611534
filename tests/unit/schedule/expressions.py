"""Random cron expressions that have something to do around changes of the clock."""

from hypothesis import strategies as st

SECONDS = ("0", "0", "0", "30", "*/20", "15,45", "5-11/2", "50-10/7", "*")
MINUTES = ("0", "0", "30", "15,45", "*/15", "*/7", "5,*/20", "0-59/25", "55-5", "59", "*")
HOURS = ("0", "1", "2", "2", "3", "2,3", "0-4", "22-3", "22-4/3", "*", "*/2", "0-23", "23", "12", "1,*/6")
MONTH_DAYS = ("*", "*", "*", "*", "?", "L", "*/2", "1-15", "25-5", "31", "1,31", "15,L", "29", "30/1")
MONTHS = ("*", "*", "*", "*", "3,10", "MAR-NOV", "OCT-APR/2", "2", "9/2")
WEEKDAYS = ("*", "*", "*", "*", "?", "SUN", "7", "0", "FRI-SUN", "L7", "LSUN", "0#2", "SAT#5,SUN#1", "1-5", "5-1", "*/2", "6/1")


def expressions() -> st.SearchStrategy[str]:
    five = [st.sampled_from(field) for field in (MINUTES, HOURS, MONTH_DAYS, MONTHS, WEEKDAYS)]
    without = st.tuples(*five).map(" ".join)
    return without | st.tuples(st.sampled_from(SECONDS), without).map(" ".join) | st.sampled_from(["@hourly", "@daily", "@weekly"])


def unions() -> st.SearchStrategy[list[str]]:
    return st.lists(expressions(), min_size=1, max_size=3)


def exclusions() -> st.SearchStrategy[list[str]]:
    return st.just([]) | st.lists(expressions().filter(lambda text: text[0] != "@"), min_size=1, max_size=2)
