"""Tables of a report, each laid out as a :class:`bench.reports.tables.grid.Grid`."""
