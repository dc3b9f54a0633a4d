"""What `mubert bench` measures: a new bench is a file here, which gives it its name.

It has `SUMMARY`, a noun phrase for the help, `EXAMPLE`, `add_flags(parser)` and
`run(args, console)`, which returns its rows, one dict each. `TABLE` lays them out, given a title; a
bench without one prints them itself. `--output` is every bench's, and `--picture` is checked.
"""
