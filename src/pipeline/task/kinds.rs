//! The task types that prov has, and the keys of each.

/// What a key of a task holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Text.
    Text,
    /// A list of texts.
    Texts,
    /// Text or a list of texts.
    TextOrTexts,
    /// An integer from 1 on.
    Count,
    /// A map.
    Map,
    /// A list of specs.
    Specs,
    /// Whatever.
    Any,
}

impl Shape {
    /// What it asks for, for messages.
    pub fn asks_for(self) -> &'static str {
        match self {
            Shape::Text => "text",
            Shape::Texts => "a list of texts",
            Shape::TextOrTexts => "text or a list of texts",
            Shape::Count => "an integer from 1 on",
            Shape::Map => "a map",
            Shape::Specs => "a list of tasks",
            Shape::Any => "a value",
        }
    }
}

/// A key of a task type.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The key.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// Whether it must be there.
    pub is_required: bool,
}

const fn must(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, is_required: true }
}

const fn may(name: &'static str, shape: Shape) -> Field {
    Field { name, shape, is_required: false }
}

/// A task type of prov's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Builtin {
    /// Executes a command.
    Command,
    /// Copies one file from outside.
    Copy,
    /// Copies several files into a folder.
    CopyMany,
    /// Brings a file of the release to the work path.
    Download,
    /// Makes tasks from a list of values.
    Explode,
    /// Makes tasks from the files that a pattern matches.
    ExplodeGlob,
    /// Finds the newest file and provides its path.
    FindLatest,
    /// Packs a file.
    Gzip,
    /// Greets.
    HelloWorld,
    /// Does nothing.
    Noop,
    /// Unpacks a file.
    Unzip,
}

impl Builtin {
    /// All of them, by name.
    pub const ALL: [Builtin; 11] = [
        Builtin::Command,
        Builtin::Copy,
        Builtin::CopyMany,
        Builtin::Download,
        Builtin::Explode,
        Builtin::ExplodeGlob,
        Builtin::FindLatest,
        Builtin::Gzip,
        Builtin::HelloWorld,
        Builtin::Noop,
        Builtin::Unzip,
    ];

    /// The type's name.
    pub fn name(self) -> &'static str {
        match self {
            Builtin::Command => "command",
            Builtin::Copy => "copy",
            Builtin::CopyMany => "copy_many",
            Builtin::Download => "download",
            Builtin::Explode => "explode",
            Builtin::ExplodeGlob => "explode_glob",
            Builtin::FindLatest => "find_latest",
            Builtin::Gzip => "gzip",
            Builtin::HelloWorld => "hello_world",
            Builtin::Noop => "noop",
            Builtin::Unzip => "unzip",
        }
    }

    /// The type of that name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The keys of its own.
    pub fn fields(self) -> &'static [Field] {
        match self {
            Builtin::Command => const { &[must("run", Shape::Any)] },
            Builtin::Copy => {
                const { &[must("source", Shape::Text), must("destination", Shape::Text), may("settings", Shape::Map)] }
            }
            Builtin::CopyMany => {
                const {
                    &[
                        may("sources", Shape::TextOrTexts),
                        may("source_list_file", Shape::Text),
                        must("destination", Shape::Text),
                        may("max_concurrency", Shape::Count),
                        may("settings", Shape::Map),
                    ]
                }
            }
            Builtin::Download => const { &[must("source", Shape::Text), may("destination", Shape::Text)] },
            Builtin::Explode => {
                const { &[must("foreach", Shape::Texts), must("do", Shape::Specs), may("each_placeholder", Shape::Text)] }
            }
            Builtin::ExplodeGlob => const { &[must("glob", Shape::Text), must("do", Shape::Specs)] },
            Builtin::FindLatest => const { &[must("source", Shape::Text), may("scratchpad_key", Shape::Text)] },
            Builtin::Gzip => const { &[must("source", Shape::Text), must("destination", Shape::Text)] },
            Builtin::HelloWorld => const { &[may("who", Shape::Text)] },
            Builtin::Noop => &[],
            Builtin::Unzip => {
                const { &[must("source", Shape::Text), must("destination", Shape::Text), may("inner_file", Shape::Text)] }
            }
        }
    }

    /// Whether it makes tasks.
    pub fn expands(self) -> bool {
        matches!(self, Builtin::Explode | Builtin::ExplodeGlob)
    }
}

/// Keys that a task of any type has in an Otter config.
pub const OTTER_KEYS: &[&str] = &["name", "requires", "scratchpad_ignore_missing"];

/// Keys that a task of any type may have in a native file.
pub const NATIVE_KEYS: &[&str] = &[
    "name",
    "type",
    "description",
    "requires",
    "needs",
    "scratchpad_ignore_missing",
    "run",
    "cwd",
    "inputs",
    "outputs",
    "params",
    "env",
    "code",
    "foreach",
    "each_placeholder",
    "matrix",
    "timeout",
    "retries",
    "memory",
    "cache",
    "validate",
    "resources",
    "provides",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_found_by_its_name() {
        for kind in Builtin::ALL {
            assert_eq!(Builtin::of(kind.name()), Some(kind));
        }
        assert_eq!(Builtin::of("solr"), None);
    }
}
