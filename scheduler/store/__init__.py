"""The database: tables, migrations, queries. SQL lives here and nowhere else; rows do not leave, values do."""
