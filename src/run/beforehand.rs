//! What a look-up with many inputs asks of the file system beside the rest: while the log is read, another thread looks at the inputs, with
//! the first one as soon as that has nothing else to do, and then lists the project's files. What is found is what would have been found in
//! turn, a little earlier. Nothing is read: what is not known by its state, and what can't be found out, is left to whoever comes to it in
//! turn and tells what is wrong.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Scope, ScopedJoinHandle};

use super::code_part;
use super::inputs::{Lying, lying};
use super::request::Request;
use super::session::{Session, Wanted};
use crate::code::is_glob;
use crate::path::RelPath;

/// Inputs from which on a thread is worth its beginning.
const MANY: usize = 64;

/// Inputs that are taken at once.
const SOME: usize = 16;

/// What there is to look at, and what came of it.
pub(super) struct Looks<'a> {
    session: &'a Session<'a>,
    request: &'a Request,
    next: AtomicUsize,
}

impl<'a> Looks<'a> {
    /// Nothing is looked at yet.
    pub(super) fn new(session: &'a Session<'a>, request: &'a Request) -> Self {
        Self { session, request, next: AtomicUsize::new(0) }
    }

    /// Looks at inputs until nobody has to any more; whether somebody still wants to know.
    fn work(&self, done: &Sender<(usize, Vec<Option<Lying>>)>) -> bool {
        let Some(cwd) = RelPath::new(self.request.cwd.clone()) else { return true };
        let cwd = cwd.below(self.session.repo.root());
        loop {
            let from = self.next.fetch_add(SOME, Ordering::Relaxed);
            let Some(inputs) = self.request.inputs.get(from..) else { return true };
            let some = inputs.iter().take(SOME);
            let found = some.map(|input| lying(self.session, &cwd, &input.path, true).ok().flatten()).collect();
            if done.send((from, found)).is_err() {
                return false;
            }
        }
    }
}

/// A look at inputs and files that is under way.
pub(super) struct Beforehand<'scope> {
    looks: &'scope Looks<'scope>,
    found: Receiver<(usize, Vec<Option<Lying>>)>,
    done: Sender<(usize, Vec<Option<Lying>>)>,
    listing: Option<ScopedJoinHandle<'scope, ()>>,
}

impl<'scope> Beforehand<'scope> {
    /// Begins to look, if that is worth a thread and there may be one.
    pub(super) fn begin<'env>(scope: &'scope Scope<'scope, 'env>, looks: &'env Looks<'env>) -> Option<Self> {
        let Looks { session, request, .. } = looks;
        let is_listed = session.is_listed(Wanted::ByName);
        let is_alone = session.batch().is_none() && !is_listed && rayon::current_thread_index().is_none();
        let may_be_many = request.inputs.len() >= MANY || request.inputs.iter().any(|input| is_glob(&input.path));
        if !may_be_many || !is_alone {
            return None;
        }
        let (done, found) = channel();
        let others = done.clone();
        let look = move || {
            let is_wanted = looks.work(&others);
            drop(others);
            if is_wanted && let Some(wanted) = code_part::wanted(looks.session, looks.request) {
                // Who needs the list is told what is wrong with it.
                let _ = looks.session.files(wanted);
            }
        };
        let listing = std::thread::Builder::new().spawn_scoped(scope, look).ok()?;
        Some(Self { looks, found, done, listing: Some(listing) })
    }

    /// What lies where the inputs of the request say, as far as it was found out, in their order.
    pub(super) fn inputs(&mut self) -> Vec<Option<Lying>> {
        self.looks.work(&self.done);
        // From here on only the other thread has an end to send by.
        self.done = channel().0;
        let mut inputs = Vec::new();
        inputs.resize_with(self.looks.request.inputs.len(), || None);
        for (from, some) in &self.found {
            for (room, one) in inputs.iter_mut().skip(from).zip(some) {
                *room = one;
            }
        }
        inputs
    }

    /// Waits for the list of files, which the session has then.
    pub(super) fn files(&mut self) {
        if let Some(listing) = self.listing.take() {
            let _ = listing.join();
        }
    }
}
