#!/usr/bin/env python3
"""Holds the tables of `prov export loom-records` against Loom's own declaration of their columns, with pyarrow.

    loom_schema.py DIR [--declared FILE]

DIR is what was exported. FILE is text that holds Loom's `ColumnSchema(...)` lines, first those of `pipeline_runs`, then `process_runs`, then
`step_runs`; without it, what is written down here, which is the same. Names, their order, types, and which may be null have to be equal, and of
every column that may not be null no value may be. Ends with 1 and says what differs.
"""

import argparse
import re
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

TABLES = ["pipeline_runs", "process_runs", "step_runs"]
TYPES = {"LoomDtype.UTF8": pa.string(), "LoomDtype.INT64": pa.int64(), 'DatetimeType("us", "UTC")': pa.timestamp("us", tz="UTC")}
RUN = "run_id correlation_id? attempt:i"
END = "status duration_ms:i error?"
FAILED = "error_type? error_message? failed_step_run_id? failed_step?"
DECLARED = [
    f"{RUN} pipeline started_at:t {END} {FAILED}",
    f"{RUN} process_run_id process started_at:t {END} {FAILED}",
    f"{RUN} step_run_id step started_at:t {END} process_run_id? error_type? error_message?",
]


def written_down():
    kinds = {"i": pa.int64(), "t": pa.timestamp("us", tz="UTC")}
    for words in DECLARED:
        fields = []
        for word in words.split():
            name, _, kind = word.rstrip("?").partition(":")
            fields.append(pa.field(name, kinds.get(kind, pa.string()), nullable=word.endswith("?")))
        yield pa.schema(fields)


def declared_in(text):
    found = re.findall(r'ColumnSchema\("(\w+)", (.+?), nullable=(True|False)\)', text)
    tables = []
    for name, kind, nullable in found:
        if name == "run_id":
            tables.append([])
        tables[-1].append(pa.field(name, TYPES[kind], nullable=nullable == "True"))
    return [pa.schema(fields) for fields in tables]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dir", type=Path)
    parser.add_argument("--declared", type=Path)
    args = parser.parse_args()
    expected = list(written_down())
    if args.declared:
        declared = declared_in(args.declared.read_text())
        if declared != expected:
            sys.exit(f"what is declared there is not what is written down here:\n{declared}\n{expected}")
    is_wrong = False
    for table, schema in zip(TABLES, expected, strict=True):
        files = sorted((args.dir / table).rglob("*.parquet")) + sorted(args.dir.glob(f"{table}*.parquet"))
        if not files:
            print(f"{table}: there is no file")
            is_wrong = True
        rows = 0
        for file in files:
            read = pq.ParquetFile(file)
            rows += read.metadata.num_rows
            seen = read.schema_arrow.remove_metadata()
            if seen != schema:
                print(f"{file}: has\n{seen}\nand should have\n{schema}")
                is_wrong = True
            required = {field.name for field in schema if not field.nullable}
            for at in range(len(read.schema)):
                column = read.schema.column(at)
                if (column.max_definition_level == 0) != (column.name in required):
                    print(f"{file}: {column.name} is REQUIRED where it should not be, or not where it should")
                    is_wrong = True
        print(f"{table}: {len(files)} files, {rows} rows, {len(schema)} columns")
    sys.exit(1 if is_wrong else 0)


if __name__ == "__main__":
    main()
