//! The tables, column by column.

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Type {
    /// Text.
    Utf8,
    /// A signed integer of 64 bits.
    Int64,
    /// Microseconds in UTC.
    Timestamp,
}

impl Type {
    /// Its name, as Loom has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Type::Utf8 => "UTF8",
            Type::Int64 => "INT64",
            Type::Timestamp => "DATETIME(us, UTC)",
        }
    }

    /// The type as Parquet has it.
    pub(super) fn written(self) -> crate::tabular::parquet::Type {
        use crate::tabular::parquet::Type as Written;
        match self {
            Type::Utf8 => Written::Utf8,
            Type::Int64 => Written::Int64,
            Type::Timestamp => Written::Timestamp,
        }
    }
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Type,
    /// Whether a value may be missing.
    pub is_nullable: bool,
}

/// A table.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name, which is that of its folder.
    pub name: &'static str,
    /// What a row is about, in Loom's words and in prov's.
    pub about: &'static str,
    /// Its columns in order.
    pub columns: &'static [Column],
}

const fn must(name: &'static str, kind: Type) -> Column {
    Column { name, kind, is_nullable: false }
}

const fn may(name: &'static str) -> Column {
    Column { name, kind: Type::Utf8, is_nullable: true }
}

use Type::{Int64, Timestamp, Utf8};

/// All tables.
pub const TABLES: [Table; 3] = [
    Table {
        name: "pipeline_runs",
        about: "an attempt of a pipeline",
        columns: &[
            must("run_id", Utf8),
            may("correlation_id"),
            must("attempt", Int64),
            must("pipeline", Utf8),
            must("started_at", Timestamp),
            must("status", Utf8),
            must("duration_ms", Int64),
            may("error"),
            may("error_type"),
            may("error_message"),
            may("failed_step_run_id"),
            may("failed_step"),
        ],
    },
    Table {
        name: "process_runs",
        about: "a process of a pipeline: a step",
        columns: &[
            must("run_id", Utf8),
            may("correlation_id"),
            must("attempt", Int64),
            must("process_run_id", Utf8),
            must("process", Utf8),
            must("started_at", Timestamp),
            must("status", Utf8),
            must("duration_ms", Int64),
            may("error"),
            may("error_type"),
            may("error_message"),
            may("failed_step_run_id"),
            may("failed_step"),
        ],
    },
    Table {
        name: "step_runs",
        about: "a step of a process: a task",
        columns: &[
            must("run_id", Utf8),
            may("correlation_id"),
            must("attempt", Int64),
            must("step_run_id", Utf8),
            must("step", Utf8),
            must("started_at", Timestamp),
            must("status", Utf8),
            must("duration_ms", Int64),
            may("error"),
            may("process_run_id"),
            may("error_type"),
            may("error_message"),
        ],
    },
];

/// The table of that name.
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}
