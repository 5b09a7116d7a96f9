//! The grammar of the command line: what can be typed, and the help for it.
//!
//! Nothing here decides or acts. One file per group of commands, as the help lists them.

mod again;
mod bring;
mod check;
mod elsewhere;
mod exchange;
mod folder;
mod follow;
mod git;
mod inspect;
mod journal;
mod lifecycle;
mod look;
mod map;
mod mark;
mod outputs;
mod pieces;
mod pipeline;
pub(crate) mod planned;
mod questions;
mod record;
mod run;
mod scenario;
mod sync;
pub(crate) mod values;
pub(crate) mod words;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, FromArgMatches, Parser, Subcommand, ValueEnum};

pub(crate) use again::{CheckArgs, RerunArgs, VerifyArgs};
pub(crate) use bring::{CatArgs, LinkKind, RestoreArgs};
pub(crate) use check::{CompletionsArgs, ConfigArgs, ConfigCommand, DoctorArgs, FsckArgs, GcArgs};
pub(crate) use elsewhere::{EvictArgs, PackArgs, WhereArgs};
pub(crate) use exchange::{
    ExportArgs, ExportWhat, ImpactArgs, ImportArgs, ImportWhat, LanguageWord, LinesWord, OtterManifestArgs,
    PreviewArgs, SchemaArgs, SchemaCommand, TableForm,
};
pub(crate) use folder::{ConfigIdentityWord, ConfigWinsWord, FolderOptions};
pub(crate) use follow::EventsArgs;
pub(crate) use git::{HookWord, HooksArgs, HooksCommand};
pub(crate) use inspect::{CatObjectArgs, LsTreeArgs, RevParseArgs};
pub(crate) use journal::{NoteArgs, OpsArgs, TagArgs, UndoArgs};
pub(crate) use lifecycle::{LifecycleOptions, ReplayWord};
pub(crate) use look::{
    CompareArgs, DiffArgs, Direction, IdArgs, LineageArgs, LineageFormat, LogArgs, PlanArgs, ShowArgs, StatusArgs,
    StatusFilter, WhyArgs,
};
pub(crate) use map::MapArgs;
pub(crate) use mark::{HideArgs, MarkArgs, RetractArgs, ScrubArgs};
pub(crate) use outputs::OutputOptions;
pub(crate) use pieces::{FinishArgs, LogInputArgs, LogMetaArgs, LogOutputArgs, StartArgs, StatusWord};
pub(crate) use pipeline::{
    FlavourWord, GraphDetail, GraphFormat, PipelineArgs, PipelineCheckArgs, PipelineCommand, PipelineGraphArgs,
    PipelineLogsArgs, PipelineOptions, PipelinePlanArgs, PipelineRunArgs, PipelineSelection, PipelineStatusArgs,
};
pub(crate) use questions::{
    AnswerFormat, FacetsArgs, FindArgs, FindArtifactsArgs, FindOptions, FindRunsArgs, FindWhat, HistoryArgs,
    MetricsArgs, SqlArgs, SummaryArgs,
};
pub(crate) use record::{AddArgs, CommitArgs, InitArgs};
pub(crate) use run::{
    CacheWord, InputsMissingWord, OnKnownFailureWord, OnMissingWord, RestoreWord, RunArgs, RunOptions, StepParser,
    ValidateWord,
};
pub(crate) use scenario::{
    ScenarioArgs, ScenarioCommand, ScenarioForkArgs, ScenarioNewArgs, ScenarioSays, ScenarioSetArgs,
};
pub(crate) use sync::{
    BundleArgs, BundleCommand, CloneArgs, FetchArgs, PushArgs, RemoteArgs, RemoteCommand, SelectionOptions, ServeArgs,
    SyncArgs,
};

/// Record what ran, on what, and what came out, and never compute it twice
#[derive(Debug, Parser)]
#[command(
    name = "prov",
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = false,
    args_override_self = true,
    after_help = "\
Start here:
  prov init
  prov run -i data.csv -o clean.csv -- python clean.py data.csv clean.csv
  prov log
  prov why @last
  prov lineage clean.csv"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options that every command has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Globals {
    /// Act as if started in DIR
    #[arg(short = 'C', value_name = "DIR", global = true, value_hint = clap::ValueHint::DirPath)]
    pub(crate) directory: Option<PathBuf>,
    /// Print one JSON document on standard output, errors as JSON on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say only what went wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say more; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Say when to use colour
    #[arg(long, value_name = "WHEN", global = true, value_enum, default_value_t = ColorWhen::Auto)]
    pub(crate) color: ColorWhen,
    /// Never page long output
    #[arg(long, global = true)]
    pub(crate) no_pager: bool,
    /// Answer yes to every question
    #[arg(short, long, global = true)]
    pub(crate) yes: bool,
}

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ColorWhen {
    /// On a terminal, unless the environment says otherwise
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create a store in this folder
    Init(InitArgs),
    /// Store files or folders and stage them for the next commit
    Add(AddArgs),
    /// Record staged or given paths as a run made by hand
    Commit(CommitArgs),
    /// Look up a command's results, or execute and record it
    Run(Box<RunArgs>),
    /// Run a step for every row of a table, several at once
    Map(Box<MapArgs>),
    /// Begin a run that something else executes
    Start(Box<StartArgs>),
    /// Log files that a live run reads
    LogInput(LogInputArgs),
    /// Log files that a live run writes
    LogOutput(LogOutputArgs),
    /// Say something of a live run: remarks, numbers, tags
    LogMeta(LogMetaArgs),
    /// Close a run that was begun with `start`
    Finish(FinishArgs),
    /// Show which steps and files are up to date
    Status(StatusArgs),
    /// List runs, newest first
    Log(LogArgs),
    /// Show a run or an object
    Show(ShowArgs),
    /// Compare two runs
    Diff(DiffArgs),
    /// Put the runs of two scenarios beside each other
    Compare(CompareArgs),
    /// Explain why a run was or would be a miss
    Why(WhyArgs),
    /// Say what a run would do, without doing it
    Plan(PlanArgs),
    /// Walk from a result to what made it, or on to what was made of it
    Lineage(LineageArgs),
    /// Tell what came of something, and what to run again if it is wrong
    Impact(ImpactArgs),
    /// Show the first rows of tables
    Preview(PreviewArgs),
    /// Find runs and artifacts by what is known of them
    Find(FindArgs),
    /// Show the facets of a run and of its outputs
    Facets(FacetsArgs),
    /// List runs with what was said of them
    History(Box<HistoryArgs>),
    /// Sum up the runs of each step
    Summary(SummaryArgs),
    /// Show the numbers of runs side by side
    Metrics(Box<MetricsArgs>),
    /// Ask about runs in SQL
    Sql(SqlArgs),
    /// Tell what runs do and did, event by event
    Events(EventsArgs),
    /// Tell what a file is by its content alone
    Id(IdArgs),
    /// Bring recorded files back
    Restore(RestoreArgs),
    /// Print the content of a recorded file
    Cat(CatArgs),
    /// Execute a run again in a fresh folder
    Rerun(RerunArgs),
    /// Execute runs again elsewhere and compare what they make
    Verify(VerifyArgs),
    /// Tell whether a file is what is on record
    Check(CheckArgs),
    /// Bar the outcome of a run from ever being a hit again
    Retract(RetractArgs),
    /// Fold a run away in listings
    Hide(HideArgs),
    /// Take the bytes of content out of the store for good
    Scrub(ScrubArgs),
    /// Give a run, an artifact or an object a name
    Tag(TagArgs),
    /// Remark something about a run, an artifact or an object
    Note(NoteArgs),
    /// List what was done in this workspace
    Ops(OpsArgs),
    /// Take back the last operation of this workspace
    Undo(UndoArgs),
    /// Create, list and switch scenarios
    Scenario(ScenarioArgs),
    /// Check, plan and draw pipelines
    Pipeline(Box<PipelineArgs>),
    /// Write records in the form of another system
    Export(Box<ExportArgs>),
    /// Make records of what another system wrote
    Import(ImportArgs),
    /// Show, write and compare the columns of tables
    Schema(SchemaArgs),
    /// Name the places that a history travels to
    Remote(RemoteArgs),
    /// Send what a remote lacks
    Push(PushArgs),
    /// Bring what a remote has and this store lacks
    Fetch(FetchArgs),
    /// Do the same as `fetch`
    Pull(FetchArgs),
    /// Fetch, then push
    Sync(SyncArgs),
    /// Make a project of what a remote holds
    Clone(CloneArgs),
    /// Put runs and all that they need into one file, check it, take it in
    Bundle(BundleArgs),
    /// Drop bytes that a remote has; records stay
    Evict(EvictArgs),
    /// Say which stores hold some content
    Where(WhereArgs),
    /// Put a run into a folder that needs no prov
    Pack(PackArgs),
    /// Answer what somebody at the other end of a pipe asks of a store
    Serve(ServeArgs),
    /// Have Git call prov, so that data follows code
    Hooks(HooksArgs),
    /// Check the whole store
    Fsck(FsckArgs),
    /// Take out of the store what nothing leads to
    Gc(GcArgs),
    /// Show the settings and where they come from
    Config(ConfigArgs),
    /// Check this machine and folder for what prov needs
    Doctor(DoctorArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print an object of the store
    CatObject(CatObjectArgs),
    /// List the entries of a tree
    LsTree(LsTreeArgs),
    /// Print the full id that a revision stands for
    RevParse(RevParseArgs),
}

impl Cli {
    /// What `words`, the program's name first, say; `command` is the command that they seem to name.
    ///
    /// To make the whole grammar takes longer than many a command does its work, so words are first read by the grammar of
    /// that command alone. Whatever is not good by it, help included, is read again by the whole.
    ///
    /// # Errors
    /// What is wrong with the words, or a help text.
    pub(crate) fn read(words: Vec<OsString>, command: Option<&str>) -> Result<Self, clap::Error> {
        if let Some(mut grammar) = command.and_then(alone)
            && let Ok(mut matches) = grammar.try_get_matches_from_mut(&words)
            && let Ok(cli) = Self::from_arg_matches_mut(&mut matches)
        {
            return Ok(cli);
        }
        Self::try_parse_from(words)
    }
}

/// The grammar of one command that has to be quick, without help texts for the rest.
fn alone(name: &str) -> Option<clap::Command> {
    let arguments: fn(clap::Command) -> clap::Command = match name {
        "add" => AddArgs::augment_args,
        "cat" => CatArgs::augment_args,
        "commit" => CommitArgs::augment_args,
        "fetch" | "pull" => FetchArgs::augment_args,
        "find" => FindArgs::augment_args,
        "finish" => FinishArgs::augment_args,
        "hooks" => HooksArgs::augment_args,
        "id" => IdArgs::augment_args,
        "lineage" => LineageArgs::augment_args,
        "log" => LogArgs::augment_args,
        "log-input" => LogInputArgs::augment_args,
        "log-meta" => LogMetaArgs::augment_args,
        "log-output" => LogOutputArgs::augment_args,
        "pipeline" => PipelineArgs::augment_args,
        "plan" => PlanArgs::augment_args,
        "push" => PushArgs::augment_args,
        "restore" => RestoreArgs::augment_args,
        "run" => RunArgs::augment_args,
        "serve" => ServeArgs::augment_args,
        "show" => ShowArgs::augment_args,
        "start" => StartArgs::augment_args,
        "status" => StatusArgs::augment_args,
        "sync" => SyncArgs::augment_args,
        "where" => WhereArgs::augment_args,
        "why" => WhyArgs::augment_args,
        _ => return None,
    };
    let root =
        clap::Command::new("prov").subcommand_required(true).args_override_self(true).disable_help_subcommand(true);
    Some(Globals::augment_args(root).subcommand(arguments(clap::Command::new(name.to_owned()))))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_grammar_is_consistent() {
        Cli::command().debug_assert();
        StepParser::command().debug_assert();
    }

    #[test]
    fn help_lines_are_imperative_fragments_and_every_command_has_examples() {
        fn check(command: &clap::Command, path: &str) {
            for arg in command.get_arguments() {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty() || arg.is_hide_set(), "{path}: {} has no help", arg.get_id());
                assert!(!help.ends_with('.'), "{path}: {}: {help}", arg.get_id());
            }
            for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
                let path = format!("{path} {}", sub.get_name());
                assert!(!sub.get_about().map(ToString::to_string).unwrap_or_default().ends_with('.'), "{path}");
                let examples = sub.get_after_help().map(ToString::to_string).unwrap_or_default();
                assert!(examples.contains("prov "), "{path} has no examples");
                check(sub, &path);
            }
        }
        check(&Cli::command(), "prov");
    }

    #[test]
    fn the_grammar_of_one_command_is_that_of_the_whole() {
        let mut whole = Cli::command();
        whole.build();
        let names: Vec<String> = whole.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        let mut quick = 0;
        for (name, mut alone) in names.iter().filter_map(|name| Some((name, alone(name)?))) {
            quick += 1;
            alone.build();
            let (part, full) = (alone.find_subcommand(name).unwrap(), whole.find_subcommand(name).unwrap());
            let arguments =
                |command: &clap::Command| command.get_arguments().map(|arg| format!("{arg:?}")).collect::<Vec<_>>();
            assert_eq!(arguments(part), arguments(full), "{name}");
            let groups =
                |command: &clap::Command| command.get_groups().map(|group| format!("{group:?}")).collect::<Vec<_>>();
            assert_eq!(groups(part), groups(full), "{name}");
            assert_eq!(part.is_args_override_self(), full.is_args_override_self(), "{name}");
            // Help is the whole grammar's.
            let below = |command: &clap::Command| {
                let names = command.get_subcommands().map(|sub| sub.get_name().to_owned());
                names.filter(|name| name != "help").collect::<Vec<_>>()
            };
            assert_eq!(below(part), below(full), "{name}");
        }
        assert!(quick >= 5);
    }

    #[test]
    fn a_wrong_guess_of_the_command_makes_no_difference() {
        let words = ["prov", "-qClog", "status", "--json"].map(OsString::from).to_vec();
        for guess in [None, Some("log"), Some("status"), Some("run"), Some("nonsense")] {
            let cli = Cli::read(words.clone(), guess).unwrap();
            assert!(matches!(cli.command, Command::Status(_)), "{guess:?}");
            assert!(cli.globals.json && cli.globals.quiet, "{guess:?}");
        }
        let words = ["prov", "-q", "-C", "log", "run", "-i", "a", "--", "log"].map(OsString::from).to_vec();
        for guess in [None, Some("log"), Some("run")] {
            assert!(matches!(Cli::read(words.clone(), guess).unwrap().command, Command::Run(_)), "{guess:?}");
        }
    }
}
