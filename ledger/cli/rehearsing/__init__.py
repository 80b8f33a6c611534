"""`jobledger jobs rehearse`: which firings would move, under other zone data or another engine, or compared with croniter."""
