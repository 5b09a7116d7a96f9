//! The tables: what people see of them, column by column, and how they are kept.
//!
//! What is kept has integers for runs and microseconds for times; what people see are views of it.

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Text.
    Text,
    /// An integer.
    Int,
    /// A number.
    Real,
    /// 0 or 1.
    Bool,
    /// A moment: text as RFC 3339 in UTC, with microseconds.
    Time,
    /// Milliseconds.
    Millis,
    /// Bytes.
    Size,
    /// Whatever was said: a number, text, or nothing.
    Any,
}

impl Kind {
    /// Its name in documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Int => "integer",
            Kind::Real => "number",
            Kind::Bool => "boolean",
            Kind::Time => "time",
            Kind::Millis => "milliseconds",
            Kind::Size => "bytes",
            Kind::Any => "any",
        }
    }

    /// As people are told of it.
    pub fn described(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Int => "an integer",
            Kind::Real => "a number",
            Kind::Bool => "true or false",
            Kind::Time => "a time",
            Kind::Millis => "a duration",
            Kind::Size => "a size",
            Kind::Any => "anything",
        }
    }
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub kind: Kind,
    /// Where it comes from; of a time, the microseconds.
    pub from: &'static str,
    /// What it says.
    pub about: &'static str,
}

/// A table as people see it.
#[derive(Debug, Clone, Copy)]
pub struct Table {
    /// Its name.
    pub name: &'static str,
    /// What a row is.
    pub about: &'static str,
    /// Its columns in order.
    pub columns: &'static [Column],
    /// What the columns are taken from.
    pub from: &'static str,
}

const fn column(name: &'static str, kind: Kind, from: &'static str, about: &'static str) -> Column {
    Column { name, kind, from, about }
}

use Kind::{Any, Bool, Int, Millis, Size, Text, Time};

/// The columns of runs.
pub const RUNS: Table = Table {
    name: "runs",
    about: "a run",
    from: "t_runs r",
    columns: &[
        column("run", Text, "r.run", "its run id"),
        column("id", Text, "substr(r.run, -16)", "the last part of its run id, which people type"),
        column("object", Text, "r.object", "the id of its record"),
        column("name", Text, "r.name", "the name that the user gave it"),
        column("project", Text, "r.project", "its project"),
        column("scenario", Text, "r.scenario", "its scenario"),
        column("step", Text, "r.step", "its step"),
        column("kind", Text, "r.kind", "command, task, step, pipeline, manual or import"),
        column("status", Text, "r.status", "success, failure or aborted"),
        column("failed_in", Text, "r.failed_in", "run or validation, of a failure"),
        column("sealed", Bool, "r.sealed", "whether nothing was seen to change under it"),
        column("cache", Text, "r.cache", "hit, miss or off"),
        column("source", Text, "r.source", "of a hit: the run whose outputs it took"),
        column("recipe", Text, "r.recipe", "the id of its recipe: the cache key"),
        column("config", Text, "r.config", "the id of its config"),
        column("model", Text, "r.model", "what `--model` said"),
        column("stage", Text, "r.stage", "what `--stage` said"),
        column("phase", Text, "r.phase", "what `--phase` said"),
        column(
            "year",
            Any,
            "(select v.value from t_values v where v.what = 3 and v.owner = r.n and v.key = 'year')",
            "what `--year` said",
        ),
        column(
            "iteration",
            Any,
            "(select v.value from t_values v where v.what = 3 and v.owner = r.n and v.key = 'iteration')",
            "what `--iteration` said",
        ),
        column("started_at", Time, "r.started_us", "when it began"),
        column("finished_at", Time, "r.finished_us", "when it ended"),
        column("duration_ms", Millis, "(r.finished_us - r.started_us) / 1000", "how long it took"),
        column("exit_code", Int, "r.exit_code", "the exit code of its command"),
        column("signal", Int, "r.signal", "the number of the signal that ended it"),
        column("error_type", Text, "r.error_type", "what went wrong, in a word"),
        column("error", Text, "r.error", "what went wrong"),
        column("parent", Text, "r.parent", "the run around it"),
        column("attempt", Int, "r.attempt", "the number of the attempt, from 1"),
        column("correlation_id", Text, "r.correlation_id", "shared by runs that belong together"),
        column("host", Text, "r.host", "the machine it ran on"),
        column("author", Text, "r.author", "who ran it"),
        column("git_commit", Text, "r.git_commit", "the commit that was checked out"),
        column("git_branch", Text, "r.git_branch", "the branch that was checked out"),
        column(
            "git_dirty",
            Bool,
            "r.git_dirty",
            "whether tracked files differed from the commit; null if nobody looked",
        ),
        column("command", Text, "r.command", "the words of its command"),
        column("cwd", Text, "r.cwd", "the folder it ran in, relative to the project"),
        column("description", Text, "r.description", "what `-m` said"),
        column("max_rss", Size, "r.max_rss", "the most memory that one of its processes used"),
        column("cpu_ms", Millis, "r.cpu_us / 1000", "processor time"),
        column("retracted", Bool, "r.retracted", "whether its outcome, or that of the run it took, was retracted"),
        column("hidden", Bool, "r.hidden", "whether it is folded away in listings"),
        column("left_out", Int, "r.left_out", "facets, metrics and the like that are too many to be in the tables"),
    ],
};

/// The columns of inputs and outputs.
pub const ARTIFACTS: Table = Table {
    name: "artifacts",
    about: "an input or output of a run, or a file of an output set",
    from: "t_artifacts a join t_runs r on r.n = a.owner",
    columns: &[
        column("run", Text, "r.run", "the run"),
        column("role", Text, "iif(a.is_output, 'output', 'input')", "input or output"),
        column("key", Text, "a.key", "its key"),
        column("member", Text, "nullif(a.member, '')", "of a file of an output set: its path in the set"),
        column(
            "path",
            Text,
            "a.path",
            "where it lived: relative to the project, below a mount (`NAME://...`), or absolute",
        ),
        column("content", Text, "a.content", "the id of its content: of a file, what `b3sum` prints"),
        column("content_type", Text, "a.content_type", "blob (a file), tree (a folder) or external:..."),
        column("size", Size, "a.size", "its bytes"),
        column("stored", Bool, "a.stored", "whether the store was given its bytes"),
        column("format", Text, "a.format", "its format"),
        column("schema", Text, "a.schema", "the name of its schema"),
        column("producer", Text, "a.producer", "of an input: the run that made it"),
        column("producer_key", Text, "a.producer_key", "of an input: which of that run's outputs it is"),
        column("linked_by", Text, "a.linked_by", "how that was found: declared, path or content"),
        column("step", Text, "r.step", "the run's step"),
        column("scenario", Text, "r.scenario", "the run's scenario"),
        column("project", Text, "r.project", "the run's project"),
        column("status", Text, "r.status", "how the run ended"),
        column("started_at", Time, "r.started_us", "when the run began"),
    ],
};

const OWNED: [Column; 5] = [
    column("run", Text, "r.run", "the run"),
    column("step", Text, "r.step", "its step"),
    column("key", Text, "v.key", "keys joined by dots; a dot in a key has a backslash before it"),
    column("value", Any, "v.value", "the value; of a list or a map, JSON"),
    column("type", Text, "v.type", "int, float, bool, text, null, list or map"),
];

/// All tables that people see.
pub const TABLES: &[Table] = &[
    RUNS,
    ARTIFACTS,
    Table {
        name: "inputs",
        about: "an input of a run",
        from: "t_artifacts a join t_runs r on r.n = a.owner where a.is_output = 0",
        columns: &[
            column("run", Text, "r.run", "the run"),
            column("key", Text, "a.key", "its key"),
            column("path", Text, "a.path", "where it lived"),
            column("content", Text, "a.content", "the id of its content"),
            column("size", Size, "a.size", "its bytes"),
            column("producer", Text, "a.producer", "the run that made it"),
            column("producer_key", Text, "a.producer_key", "which of that run's outputs it is"),
            column("linked_by", Text, "a.linked_by", "how that was found: declared, path or content"),
        ],
    },
    Table {
        name: "outputs",
        about: "an output of a run",
        from: "t_artifacts a join t_runs r on r.n = a.owner where a.is_output = 1 and a.member = ''",
        columns: &[
            column("run", Text, "r.run", "the run"),
            column("key", Text, "a.key", "its key"),
            column("path", Text, "a.path", "where it lived"),
            column("content", Text, "a.content", "the id of its content"),
            column("size", Size, "a.size", "its bytes"),
            column("stored", Bool, "a.stored", "whether the store was given its bytes"),
            column("format", Text, "a.format", "its format"),
            column("schema", Text, "a.schema", "the name of its schema"),
        ],
    },
    Table {
        name: "facets",
        about: "a facet of a run or an output",
        from: "t_values v join t_runs r on r.n = v.owner where v.what = 0",
        columns: &[
            OWNED[0],
            OWNED[1],
            column(
                "output",
                Text,
                "nullif(v.output, '')",
                "of which output, of a file of a set KEY/MEMBER; null for the run's own",
            ),
            column(
                "namespace",
                Text,
                "iif(v.namespace = '', r.step, v.namespace)",
                "its namespace; the step's name unless said otherwise",
            ),
            OWNED[2],
            OWNED[3],
            OWNED[4],
        ],
    },
    Table {
        name: "metrics",
        about: "a number that a run reported",
        from: "t_values v join t_runs r on r.n = v.owner where v.what = 1",
        columns: &OWNED,
    },
    Table {
        name: "params",
        about: "a leaf of the config that a run was given",
        from: "t_values v join t_runs r on r.config_n = v.owner where v.what = 2",
        columns: &OWNED,
    },
    Table {
        name: "dims",
        about: "a dimension of a run: year, iteration and others",
        from: "t_values v join t_runs r on r.n = v.owner where v.what = 3",
        columns: &OWNED,
    },
    Table {
        name: "meta",
        about: "a free remark of a run",
        from: "t_values v join t_runs r on r.n = v.owner where v.what = 4",
        columns: &OWNED,
    },
    Table {
        name: "tags",
        about: "a label of a run",
        from: "t_tags t join t_runs r on r.n = t.owner",
        columns: &[column("run", Text, "r.run", "the run"), column("tag", Text, "t.tag", "the label")],
    },
    Table {
        name: "edges",
        about: "one run used what another made",
        from: "t_artifacts a join t_runs r on r.n = a.owner where a.is_output = 0 and a.producer is not null",
        columns: &[
            column("producer", Text, "a.producer", "the run that made it"),
            column("producer_key", Text, "a.producer_key", "under which key"),
            column("consumer", Text, "r.run", "the run that used it"),
            column("consumer_key", Text, "a.key", "under which key"),
            column("content", Text, "a.content", "the content"),
            column("path", Text, "a.path", "where it lay"),
            column("linked_by", Text, "a.linked_by", "how that was found: declared, path or content"),
        ],
    },
    Table {
        name: "notes",
        about: "a remark about a run or another object, made later",
        from: "t_notes o left join t_runs r on r.object = o.object",
        columns: &[
            column("run", Text, "r.run", "the run, if it is about one"),
            column("object", Text, "o.object", "the object"),
            column("made_at", Time, "o.at_us", "when it was made"),
            column("text", Text, "o.text", "what it says"),
            column("author", Text, "o.author", "who made it"),
        ],
    },
];

/// The table of that name.
pub fn table(name: &str) -> Option<&'static Table> {
    TABLES.iter().find(|table| table.name == name)
}

impl Table {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The view that people see.
    pub(super) fn view(&self) -> String {
        let columns: Vec<String> =
            self.columns.iter().map(|column| format!("{} as {}", shown(column), column.name)).collect();
        format!("create view {} as select {} from {};\n", self.name, columns.join(", "), self.from)
    }
}

/// How a column is shown.
pub(super) fn shown(column: &Column) -> String {
    match column.kind {
        // Floor division, so that times before 1970 are right as well.
        Kind::Time => {
            let us = column.from;
            format!(
                "strftime('%Y-%m-%dT%H:%M:%S', ({us} - (({us} % 1000000) + 1000000) % 1000000) / 1000000, 'unixepoch') \
                 || printf('.%06dZ', (({us} % 1000000) + 1000000) % 1000000)"
            )
        }
        _ => column.from.to_owned(),
    }
}

/// What is kept.
pub(super) const KEPT: &str = "
create table t_runs (
  n integer primary key, run text not null, object text not null, name text, project text not null, scenario text not null,
  step text not null, kind text not null, status text not null, failed_in text, sealed integer not null, cache text not null,
  source text, source_object text, recipe text, config text, config_n integer, model text, stage text, phase text,
  started_us integer not null, finished_us integer not null, exit_code integer, signal integer, error_type text, error text,
  parent text, attempt integer not null, correlation_id text, host text, author text, git_commit text, git_branch text,
  git_dirty integer, command text, cwd text, description text, max_rss integer, cpu_us integer, left_out integer not null,
  retracted integer not null, hidden integer not null, exact integer not null);
create table t_configs (n integer primary key, config text not null unique);
create table t_artifacts (
  owner integer not null, is_output integer not null, key text not null, member text not null, path text not null,
  content text not null, content_type text not null, size integer not null, stored integer not null, format text, schema text,
  producer text, producer_object text, producer_n integer, producer_key text, linked_by text,
  primary key (owner, is_output, key, member)) without rowid;
create table t_values (
  what integer not null, owner integer not null, output text not null, namespace text not null, key text not null, value, type text not null,
  primary key (what, owner, output, namespace, key)) without rowid;
create table t_tags (owner integer not null, tag text not null, primary key (owner, tag)) without rowid;
create table t_notes (object text not null, id text not null, at_us integer not null, text text not null, author text, primary key (object, id)) without rowid;
create table t_position (store text not null, tip integer not null, op blob not null, tables blob not null);
";

/// How it is found. Made after the first rows, which is twice as fast as before them.
pub(super) const INDEXES: &str = "
create unique index x_runs_run on t_runs (run, object);
create index x_runs_object on t_runs (object);
create index x_runs_step on t_runs (project, step, started_us);
create index x_runs_started on t_runs (started_us);
create index x_runs_recipe on t_runs (recipe);
create index x_runs_config on t_runs (config_n);
create index x_runs_parent on t_runs (parent) where parent is not null;
create index x_runs_source on t_runs (source_object) where source_object is not null;
create index x_runs_left_out on t_runs (left_out) where left_out > 0;
create index x_artifacts_content on t_artifacts (content);
create index x_artifacts_key on t_artifacts (key, is_output);
create index x_artifacts_path on t_artifacts (path);
create index x_artifacts_producer on t_artifacts (producer_n) where producer_n is not null;
create index x_artifacts_unknown on t_artifacts (producer) where producer is not null and producer_n is null;
create index x_values_value on t_values (what, key, type, value);
create index x_tags_tag on t_tags (tag);
";
