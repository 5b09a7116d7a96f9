//! Taking what a command made: captured, stored, and held against what was declared and expected.

use std::collections::BTreeMap;

use bstr::BString;

use super::perform::{self, OutputAction};
use super::prepare::Prepared;
use super::request::{OnMissing, Request};
use super::session::Session;
use super::{Error, annotate, columns, managed, outputs};
use crate::object::Sink;
use crate::object::run::{Output, Phase, Run, RunError, Status};
use crate::path::Place;
use crate::store::Intake;
use crate::worktree::{self, Captured, Fence};

/// What came of taking the outputs of a run.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// What was done about each.
    pub(super) actions: BTreeMap<String, OutputAction>,
    /// Notices that one changed since.
    pub(super) fence: Fence,
    /// Keys of those that are not there.
    missing: Vec<String>,
    /// Paths of the project that the command made and that no declaration names: captured ones.
    pub(super) made: Vec<BString>,
}

/// Captures the outputs of a run that succeeded into its record. `seen` is what captures could take before it began.
///
/// # Errors
/// When one can't be taken.
#[expect(clippy::too_many_arguments, reason = "everything that an output leaves a trace in")]
pub(super) fn outputs_of(
    session: &Session<'_>,
    request: &Request,
    prepared: &Prepared,
    seen: &BTreeMap<String, outputs::Seen>,
    live: &super::live::Running,
    intake: &Intake,
    run: &mut Run,
    warnings: &mut Vec<String>,
) -> Result<Taken, Error> {
    let mut taken = Taken::default();
    for (key, place) in prepared.outputs() {
        let one = One { session, request, intake, key, place };
        let output = match prepared.declared.set(key) {
            None => one.whole(&mut taken, warnings)?,
            Some(members) => one.set(members, prepared, seen.get(key), &mut taken, run, warnings)?,
        };
        match output {
            Some(output) => drop(run.outputs.insert(key.clone(), output)),
            None => taken.missing.push(key.clone()),
        }
    }
    if let Some(place) = managed::made(session, prepared, live)? {
        let one = One { session, request, intake, key: managed::KEY, place: &place };
        if let Some(mut output) = one.whole(&mut taken, warnings)? {
            output.path = managed::recorded_path(session.repo, &prepared.step);
            run.outputs.insert(managed::KEY.to_owned(), output);
        }
    }
    annotate::formats(session, run, &|key, output| match key {
        managed::KEY => managed::folder(live),
        _ => session.repo.root().join(crate::path::from_bytes(&output.path)),
    });
    Ok(taken)
}

/// One output that is being taken.
struct One<'a> {
    session: &'a Session<'a>,
    request: &'a Request,
    intake: &'a Intake,
    key: &'a str,
    place: &'a Place,
}

impl One<'_> {
    /// Takes it into the store, or its hash alone; returns whether its bytes are stored.
    fn captured(
        &self,
        take: &mut dyn FnMut(Option<&dyn Sink>) -> Result<Captured, Error>,
        warnings: &mut Vec<String>,
    ) -> Result<(Captured, bool), Error> {
        if self.request.no_store.contains(self.key) {
            return Ok((take(None)?, false));
        }
        match take(Some(self.intake as &dyn Sink)) {
            // The store can't take the bytes, e.g. on a full disk: that is no fault of the command.
            Err(Error::Worktree(worktree::Error::Access { source, .. })) => {
                warnings.push(format!("output `{}` is recorded by its hash only: {}", self.key, super::chain(&source)));
                Ok((take(None)?, false))
            }
            captured => Ok((captured?, true)),
        }
    }

    fn output(&self, captured: Captured, stored: bool, taken: &mut Taken) -> Output {
        taken.fence.join(captured.fence);
        let action = if stored { OutputAction::Stored } else { OutputAction::Hashed };
        taken.actions.insert(self.key.to_owned(), action);
        Output {
            content: captured.content,
            path: self.session.repo.recorded_path(self.place),
            size: captured.size,
            stored,
            exec: captured.exec,
            format: None,
            facets: BTreeMap::new(),
            schema: None,
            set: None,
            members: BTreeMap::new(),
            meta: BTreeMap::new(),
        }
    }

    /// A file or folder; `None` if it is not there.
    fn whole(&self, taken: &mut Taken, warnings: &mut Vec<String>) -> Result<Option<Output>, Error> {
        let worktree = self.session.worktree();
        let options = worktree::CaptureOptions::default();
        let mut take = |sink: Option<&dyn Sink>| Ok(worktree::capture(&worktree, self.place, &options, sink)?);
        match self.captured(&mut take, warnings) {
            Ok((captured, stored)) => Ok(Some(self.output(captured, stored, taken))),
            Err(Error::Worktree(worktree::Error::Absent { .. })) => Ok(None),
            Err(err) => Err(err),
        }
    }

    /// Some files of a folder; `None` if there is none and that is not expected.
    fn set(
        &self,
        members: &crate::recipe::Members,
        prepared: &Prepared,
        seen: Option<&outputs::Seen>,
        taken: &mut Taken,
        run: &mut Run,
        warnings: &mut Vec<String>,
    ) -> Result<Option<Output>, Error> {
        let is_changed_only = members.is_changed_only();
        let options = if is_changed_only {
            let changes = outputs::changes(self.session, self.place, members, seen)?;
            for path in &changes.rewritten {
                run.unsealed.push(format!(
                    "{} was there before it ran, and it changed it: declare it with -o, and with --in-place if it reads it",
                    crate::path::shown(&outputs::member_path(&self.session.repo.recorded_path(self.place), path))
                ));
            }
            let root = self.session.repo.recorded_path(self.place);
            taken.made.extend(changes.made.iter().map(|path| outputs::member_path(&root, path)));
            let all = changes.made.iter().chain(&changes.rewritten);
            outputs::exactly(all.map(|name| -> &bstr::BStr { name.as_ref() }))
        } else {
            outputs::options(Some(members))
        };
        let mut listed = BTreeMap::new();
        let mut take = |sink: Option<&dyn Sink>| {
            let taken = outputs::take_set(self.session, self.key, self.place, members, &options, sink)?;
            listed = taken.members;
            Ok(taken.captured)
        };
        let (captured, stored) = match self.captured(&mut take, warnings) {
            Ok(captured) => captured,
            Err(Error::Worktree(worktree::Error::Absent { .. })) => return Ok(None),
            Err(err) => return Err(err),
        };
        let is_empty_fine =
            is_changed_only || annotate::may_be_empty(self.request, self.key, members, &prepared.config);
        if listed.is_empty() && !is_empty_fine {
            return Ok(None);
        }
        let output = self.output(captured, stored, taken);
        Ok(Some(Output { set: Some(members.files().clone()), members: listed, ..output }))
    }
}

/// Holds what was taken against what was declared and expected. Returns what nobody wants to be told of.
pub(super) fn judge(
    session: &Session<'_>,
    request: &Request,
    prepared: &Prepared,
    taken: &Taken,
    run: &mut Run,
    exit_code: &mut u8,
    warnings: &mut Vec<String>,
) -> Option<String> {
    let ignored = judge_missing(request, &taken.missing, run, exit_code);
    if run.status != Status::Success {
        return ignored;
    }
    let mut found = match annotate::mismatches(session, run, request, &prepared.config, true) {
        Ok(found) => found,
        Err(why) => vec![why],
    };
    found.extend(columns::compare(session, run, request));
    if found.is_empty() {
        return ignored;
    }
    match request.about.on_mismatch {
        OnMissing::Error => {
            fail(run, "output_mismatch", found.join("; "));
            *exit_code = 1;
        }
        OnMissing::Warn => warnings.extend(found),
        OnMissing::Ignore => {}
    }
    ignored
}

fn judge_missing(request: &Request, missing: &[String], run: &mut Run, exit_code: &mut u8) -> Option<String> {
    if missing.is_empty() {
        return None;
    }
    let message = format!(
        "the command succeeded, but did not make its declared output{} {}",
        if missing.len() == 1 { "" } else { "s" },
        missing.join(", ")
    );
    if perform::missing_is_failure(request) {
        fail(run, "output_missing", message);
        *exit_code = 1;
        return None;
    }
    // An outcome without all of its outputs is on record, but nothing to take.
    run.unsealed.push(message.clone());
    (request.on_missing == OnMissing::Ignore).then_some(message)
}

/// The run failed after its command had succeeded.
pub(super) fn fail(run: &mut Run, kind: &str, message: String) {
    run.status = Status::Failure;
    run.failed_in = Some(Phase::Validation);
    run.error = Some(RunError { kind: kind.to_owned(), message, run: None });
}
