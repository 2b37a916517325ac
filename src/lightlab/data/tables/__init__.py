"""Tables: CSV, TSV, Parquet and DataFrames."""
