# tries: has SQLite make a database outside
# end: python_error
import sqlite3


class Escaped(Exception):
    pass


def transform(inputs, params):
    sqlite3.connect("/var/tmp/shirabe-left-behind.db").execute("create table t (a)")
    raise Escaped("made")
