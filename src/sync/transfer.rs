//! From one store into another: what is missing is found, carried, checked, and made visible in as few transactions as its refs fit into.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use crate::codec::Value;
use crate::hash::{Id, IdSet};
use crate::object::config::Config;
use crate::object::mark::{Mark, MarkKind};
use crate::object::note::Note;
use crate::object::scenario::Scenario;
use crate::object::verdict::Verdict;
use crate::object::{Kind, Record, Sink, Source, id_of};
use crate::progress::{Cancel, Progress, Unit};
use crate::refs::key;
use crate::repo::entry::{self, MarkLine, ScenarioRef, Tag};
use crate::store::scrub::FEATURE;
use crate::store::{Collected, Draft, Expect, FromStore, Intake, OpId, RefEdit, Snapshot, Store};

use super::Error;
use super::heads::{About, Heads, Reader};
use super::merge::{self, Settings};
use super::packed::PackedRefs;
use super::walk::{Brought, Depth, RunRefs, Walk};

/// Runs that are carried together at most, as a rule: their refs are held in memory, those of two such parts at a time. With fewer, the packs of
/// their records are so small that they are merged on the way.
pub const AT_ONCE: usize = 12 << 10;

/// Bytes of refs in one transaction.
const REFS: usize = 4 << 20;

/// One way between two stores.
pub(super) struct Transfer<'a> {
    /// Where it comes from.
    pub(super) from: &'a Snapshot,
    /// Where it goes to.
    pub(super) to: &'a Store,
    /// The project whose scenarios and tags travel.
    pub(super) project: &'a str,
    /// The remote's name, which what can't be merged is named after.
    pub(super) remote: &'a str,
    /// The command, for the log.
    pub(super) command: &'a str,
    /// How much travels.
    pub(super) depth: Depth,
    /// Whether the source is this machine's own store.
    pub(super) is_push: bool,
    /// Whether nothing is to be changed.
    pub(super) is_dry: bool,
    /// Whether content that was scrubbed there is to go here as well.
    pub(super) takes_scrubs: bool,
    /// Runs that are carried together.
    pub(super) at_once: usize,
    /// What both sides had when they met last: by scenario, and by tag.
    pub(super) seen_scenarios: BTreeMap<String, Id>,
    /// Tags that both sides had.
    pub(super) seen_tags: BTreeMap<String, Vec<u8>>,
    pub(super) progress: &'a dyn Progress,
    pub(super) cancel: &'a Cancel,
}

/// What became of settings or a tag that both sides have, each its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// `scenario` or `tag`.
    pub what: &'static str,
    /// Its name.
    pub name: String,
    /// The fields that could not be merged; empty if all could.
    pub conflicts: Vec<String>,
    /// Under which name the other one is kept.
    pub kept_as: Option<String>,
}

/// What a transfer did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moved {
    /// Runs that were new.
    pub runs: u64,
    /// Objects that travelled.
    pub objects: u64,
    /// Bytes that they take.
    pub bytes: u64,
    /// Contents that the source tells of and has not.
    pub absent: u64,
    /// Contents that were scrubbed at the target, and are not taken.
    pub refused: u64,
    /// Scenarios whose settings changed at the target.
    pub scenarios: u64,
    /// Tags that changed at the target.
    pub tags: u64,
    /// Things said about objects that were new.
    pub marks: u64,
    /// Settings and tags that both sides had changed.
    pub met: Vec<Met>,
    /// Contents here that were scrubbed there; they are only scrubbed here if that is asked for.
    pub scrubbed_there: Vec<Id>,
    /// Contents that are scrubbed at the target from now on.
    pub scrubbed: Vec<Id>,
    /// Scenarios and tags as both sides have seen them now: keys of `remotes/` refs.
    pub(super) seen: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Moved {
    /// Whether there was nothing to do.
    pub fn is_nothing(&self) -> bool {
        self.runs == 0
            && self.objects == 0
            && self.scenarios == 0
            && self.tags == 0
            && self.marks == 0
            && self.scrubbed.is_empty()
    }
}

/// Run ids that have their refs already.
struct Given {
    /// Those of this transfer.
    runs: HashSet<String>,
    /// Their objects.
    objects: IdSet,
    /// Whether the target had nothing before: then there are no others.
    was_empty: bool,
}

/// Runs that were carried, and are to be made visible.
struct Part<'h> {
    heads: &'h [Id],
    /// The target when they were.
    snapshot: Snapshot,
    brought: Brought,
    /// What came for them; nothing on a dry run.
    collected: Option<Arc<Collected>>,
}

/// Things said that were checked against what says them.
#[derive(Debug, Default)]
struct Said {
    objects: Vec<(Id, Kind)>,
    edits: Vec<RefEdit>,
    has_scrubs: bool,
}

impl Transfer<'_> {
    fn place(&self) -> String {
        self.from.store().backend().place()
    }

    /// Carries everything that `heads` name.
    pub(super) fn run(&self, heads: &Heads) -> Result<Moved, Error> {
        let mut moved = Moved::default();
        if heads.is_empty() {
            return Ok(moved);
        }
        self.progress.begin(if self.is_push { "push" } else { "fetch" }, None, Unit::Items);
        let mut given =
            Given { runs: HashSet::new(), objects: IdSet::default(), was_empty: self.to.snapshot()?.is_empty() };
        // Before the runs: one that was retracted there must at no time be a hit here.
        self.about(heads.about.clone(), &mut given, &mut moved)?;
        self.runs(&heads.runs, &mut given, &mut moved)?;
        self.ends(heads, &mut given, &mut moved)?;
        self.progress.end();
        Ok(moved)
    }

    fn count(moved: &mut Moved, brought: &Brought) {
        moved.objects += brought.objects;
        moved.bytes += brought.bytes;
        moved.absent += brought.absent;
        moved.refused += brought.refused;
    }

    fn walk(&self, snapshot: &Snapshot, heads: &[(Id, Kind)]) -> Result<(Brought, Intake), Error> {
        let intake = self.to.intake(snapshot);
        Ok((self.walk_into(&intake, heads)?, intake))
    }

    fn walk_into(&self, intake: &Intake, heads: &[(Id, Kind)]) -> Result<Brought, Error> {
        let flags = (self.is_dry, self.is_push);
        let brought = Walk::new(self.from, intake, self.depth, flags, self.progress, self.cancel).run(heads)?;
        self.check_source()?;
        Ok(brought)
    }

    /// Nothing is made of a source of which a part could not be read.
    fn check_source(&self) -> Result<(), Error> {
        match self.from.damage().into_iter().next() {
            Some(damage) => {
                Err(Error::Forged { place: self.place(), what: format!("{}: {}", damage.file, damage.what) })
            }
            None => Ok(()),
        }
    }

    /// Carries runs with all that they need, and makes them visible: one part while the next one is carried.
    fn runs(&self, heads: &[Id], given: &mut Given, moved: &mut Moved) -> Result<(), Error> {
        let mut parts = heads.chunks(self.at_once.max(1));
        let mut current = parts.next().map(|heads| self.carried(heads, None)).transpose()?;
        let mut is_first = true;
        while let Some(part) = current {
            let next = parts.next();
            let before = part.collected.clone();
            current = if self.is_dry {
                self.show(part, is_first, given, moved)?;
                next.map(|heads| self.carried(heads, None)).transpose()?
            } else {
                std::thread::scope(|scope| {
                    let ahead = next.map(|heads| scope.spawn(move || self.carried(heads, before)));
                    let shown = self.show(part, is_first, given, moved);
                    let ahead =
                        ahead.map(|ahead| ahead.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
                    shown?;
                    ahead.transpose()
                })?
            };
            is_first = false;
        }
        Ok(())
    }

    /// Carries some runs with all that they need; `before` is what the transaction brings that may not have landed yet.
    fn carried<'h>(&self, heads: &'h [Id], before: Option<Arc<Collected>>) -> Result<Part<'h>, Error> {
        let snapshot = self.to.snapshot()?;
        let intake = self.to.intake(&snapshot);
        let intake = before.into_iter().fold(intake, Intake::following);
        let objects: Vec<(Id, Kind)> = heads.iter().map(|id| (*id, Kind::RUN)).collect();
        let brought = self.walk_into(&intake, &objects)?;
        let found: HashSet<Id> = brought.runs.iter().map(|run| run.object).collect();
        if let Some(id) = heads.iter().find(|id| !found.contains(id)) {
            let what = format!("a ref says that object {id} is a run, and it is none");
            return Err(Error::Forged { place: self.place(), what });
        }
        let collected = if self.is_dry { None } else { Some(Arc::new(intake.finish()?)) };
        Ok(Part { heads, snapshot, brought, collected })
    }

    /// Makes runs visible that were carried.
    fn show(&self, part: Part<'_>, is_first: bool, given: &mut Given, moved: &mut Moved) -> Result<(), Error> {
        let Part { heads, snapshot, brought, collected } = part;
        // The part before landed since.
        let snapshot = if is_first || self.is_dry { snapshot } else { self.to.snapshot_since(&snapshot)? };
        Self::count(moved, &brought);
        // With a selection the runs that these are made of come along, whatever is said of them.
        let wanted: HashSet<Id> = heads.iter().copied().collect();
        self.about(self.said_of(&snapshot, &brought, |run| !wanted.contains(run))?, given, moved)?;
        let portions = Self::portions(&snapshot, brought.lists, brought.runs, given, moved)?;
        let Some(mut collected) = collected.filter(|_| !portions.is_empty() || brought.objects > 0) else {
            return Ok(());
        };
        // What came may complete runs that are known, so that there is nothing but content.
        let portions = if portions.is_empty() { vec![PackedRefs::default()] } else { portions };
        let inline: Vec<Id> = collected.inline_ids().copied().collect();
        let last = portions.len() - 1;
        for (at, refs) in portions.into_iter().enumerate() {
            let relies_on = if at == 0 { Vec::new() } else { inline.clone() };
            self.publish(&Draft {
                collected: Some(Arc::clone(&collected)),
                edits: refs.edits(),
                relies_on,
                restore: Some(Arc::new(FromStore(self.from.clone()))),
                ..Draft::default()
            })?;
            if at == 0 && last > 0 {
                collected = Arc::new(collected.as_relied());
            }
        }
        Ok(())
    }

    fn publish(&self, draft: &Draft) -> Result<(), Error> {
        self.to.publish_as_is(OpId::new(&*self.to.world().random), self.command, draft)?;
        Ok(())
    }

    /// Edits in portions that fit into one entry each, all of a run in one. Lists come first: a run that is here needs nothing more.
    fn portions(
        snapshot: &Snapshot,
        lists: Vec<(Id, PackedRefs)>,
        runs: Vec<RunRefs>,
        given: &mut Given,
        moved: &mut Moved,
    ) -> Result<Vec<PackedRefs>, Error> {
        let own = |run: &RunRefs| key::run(&run.project, &run.scenario, &run.run, &run.object);
        let mut runs: Vec<(Vec<u8>, RunRefs)> = runs.into_iter().map(|run| (own(&run), run)).collect();
        runs.retain(|(_, run)| given.objects.insert(run.object));
        runs.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut foreign: HashSet<String> = HashSet::new();
        if !given.was_empty {
            let keys: Vec<&[u8]> = runs.iter().map(|(own, _)| own.as_slice()).collect();
            let mut known = snapshot.get_refs(&keys)?.into_iter();
            runs.retain(|_| known.next().flatten().is_none());
            foreign = Self::foreign(snapshot, &runs)?;
        }
        let lists = Self::unknown(snapshot, lists, given)?;
        moved.runs += runs.len() as u64;
        let newest = Self::newest_at_paths(snapshot, &runs)?;
        let paths = key::outpaths();
        let mut portions: Vec<PackedRefs> = Vec::new();
        let mut portion: Vec<(&[u8], &[u8])> = Vec::new();
        let mut bytes = 0;
        let mut add = |refs: &mut dyn Iterator<Item = (_, _)>| {
            let from = portion.len();
            portion.extend(refs);
            let size: usize = portion[from..].iter().map(|(key, value)| key.len() + value.len() + 8).sum();
            if from > 0 && bytes + size > REFS {
                let rest = portion.split_off(from);
                portions.push(Self::in_order(std::mem::replace(&mut portion, rest)));
                bytes = 0;
            }
            bytes += size;
        };
        for refs in &lists {
            add(&mut refs.iter());
        }
        for (own, run) in &runs {
            // A run id belongs to whoever came first: another run that claims it is listed, and nothing that leads to the first one changes.
            let is_known = !given.runs.insert(run.run.clone()) || foreign.contains(&run.run);
            let is_wanted = |&(key, value): &(&[u8], &[u8])| match key {
                _ if is_known => key == own.as_slice(),
                _ if key.starts_with(&paths) => newest.get(key) == Some(&value),
                _ => true,
            };
            add(&mut run.refs.iter().filter(is_wanted));
        }
        if !portion.is_empty() {
            portions.push(Self::in_order(portion));
        }
        Ok(portions)
    }

    /// The refs of those lists that are not known yet: a list's refs come together.
    fn unknown(
        snapshot: &Snapshot,
        mut lists: Vec<(Id, PackedRefs)>,
        given: &mut Given,
    ) -> Result<Vec<PackedRefs>, Error> {
        lists.retain(|(id, _)| given.objects.insert(*id));
        lists.sort_unstable_by(|(_, a), (_, b)| a.iter().next().cmp(&b.iter().next()));
        let firsts: Vec<&[u8]> =
            lists.iter().map(|(_, refs)| refs.iter().next().map_or(&[][..], |(key, _)| key)).collect();
        let mut known = snapshot.get_refs(&firsts)?.into_iter();
        lists.retain(|_| known.next().flatten().is_none());
        Ok(lists.into_iter().map(|(_, refs)| refs).collect())
    }

    /// The refs of one entry, each once.
    fn in_order(mut refs: Vec<(&[u8], &[u8])>) -> PackedRefs {
        refs.sort_unstable();
        refs.dedup_by(|a, b| a.0 == b.0);
        PackedRefs::of_pairs(|| refs.iter().copied())
    }

    /// Ids of runs that are another run's at the target.
    fn foreign(snapshot: &Snapshot, runs: &[(Vec<u8>, RunRefs)]) -> Result<HashSet<String>, Error> {
        let mut ids: Vec<(Vec<u8>, &RunRefs)> = runs.iter().map(|(_, run)| (key::id(&run.run), run)).collect();
        ids.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let keys: Vec<&[u8]> = ids.iter().map(|(key, _)| key.as_slice()).collect();
        let is_own = |value: &[u8], run: &RunRefs| {
            entry::decode::<entry::RunPlace>(value).is_ok_and(|place| place.object == run.object)
        };
        let known = snapshot.get_refs(&keys)?.into_iter().zip(ids);
        Ok(known
            .filter(|(value, (_, run))| value.as_ref().is_some_and(|value| !is_own(value, run)))
            .map(|(_, (_, run))| run.run.clone())
            .collect())
    }

    /// What refs of paths are to say, by their keys: the newest run that wrote there, of these and of those that are known (run ids begin with their
    /// time). Those that stay as they are are left out.
    fn newest_at_paths<'r>(
        snapshot: &Snapshot,
        runs: &'r [(Vec<u8>, RunRefs)],
    ) -> Result<HashMap<&'r [u8], &'r [u8]>, Error> {
        let prefix = key::outpaths();
        let run = |value: &[u8]| entry::decode::<String>(value).ok();
        let refs = runs.iter().flat_map(|(_, run)| run.refs.iter()).filter(|(key, _)| key.starts_with(&prefix));
        let mut claims: Vec<(&[u8], Option<String>, &[u8])> =
            refs.map(|(key, value)| (key, run(value), value)).collect();
        // The newest of each path first.
        claims.sort_unstable_by(|a, b| a.0.cmp(b.0).then_with(|| b.1.cmp(&a.1)));
        claims.dedup_by(|a, b| a.0 == b.0);
        let keys: Vec<&[u8]> = claims.iter().map(|(key, ..)| *key).collect();
        let known = snapshot.get_refs(&keys)?;
        let news = claims.into_iter().zip(known).filter(|((_, new, _), known)| match known {
            Some(known) => run(known) < *new,
            None => true,
        });
        Ok(news.map(|((key, _, value), _)| (key, value)).collect())
    }

    /// What is said of objects, whether these are here already or not.
    fn about(&self, mut about: Vec<About>, given: &mut Given, moved: &mut Moved) -> Result<(), Error> {
        if about.is_empty() {
            return Ok(());
        }
        let snapshot = self.to.snapshot()?;
        let (said, brought, intake) = loop {
            let mut outcome = Moved::default();
            let said = self.said(&about, &snapshot, &mut outcome)?;
            let (brought, intake) = self.walk(&snapshot, &said.objects)?;
            // What says something may lead to runs, of which something is said in turn.
            let known: HashSet<Id> = about.iter().map(|(of, ..)| *of).collect();
            let more = self.said_of(&snapshot, &brought, |run| !known.contains(run))?;
            if more.is_empty() {
                moved.scrubbed.extend(outcome.scrubbed);
                moved.scrubbed_there.extend(outcome.scrubbed_there);
                break (said, brought, intake);
            }
            about.extend(more);
        };
        Self::count(moved, &brought);
        moved.marks += said.edits.len() as u64;
        let mut edits = said.edits;
        for portion in Self::portions(&snapshot, brought.lists, brought.runs, given, moved)? {
            edits.extend(portion.edits());
        }
        if self.is_dry || edits.is_empty() {
            return Ok(());
        }
        let features = if said.has_scrubs { vec![FEATURE.to_owned()] } else { Vec::new() };
        self.publish(&Draft {
            collected: Some(Arc::new(intake.finish()?)),
            edits,
            features,
            restore: Some(Arc::new(FromStore(self.from.clone()))),
            ..Draft::default()
        })
    }

    /// What is said of those runs that came along.
    fn said_of(
        &self,
        snapshot: &Snapshot,
        brought: &Brought,
        is_led_to: impl Fn(&Id) -> bool,
    ) -> Result<Vec<About>, Error> {
        let reader = Reader { from: self.from, to: snapshot, project: self.project };
        reader.said_of(brought.runs.iter().map(|run| run.object).filter(is_led_to))
    }

    /// Scenarios and tags: after the runs, in one transaction.
    fn ends(&self, heads: &Heads, given: &mut Given, moved: &mut Moved) -> Result<(), Error> {
        if heads.scenarios.is_empty() && heads.tags.is_empty() {
            return Ok(());
        }
        let snapshot = self.to.snapshot()?;
        let mut objects: Vec<(Id, Kind)> = heads.scenarios.values().map(|id| (*id, Kind::SCENARIO)).collect();
        objects.extend(heads.tags.values().map(|tag| (tag.object, tag.kind.clone())));
        let (brought, intake) = self.walk(&snapshot, &objects)?;
        Self::count(moved, &brought);
        let mut edits = Vec::new();
        self.about(self.said_of(&snapshot, &brought, |_| true)?, given, moved)?;
        // What a tag names may be a run that came with nothing else.
        for portion in Self::portions(&snapshot, brought.lists, brought.runs, given, moved)? {
            edits.extend(portion.edits());
        }
        let collected = if self.is_dry { None } else { Some(Arc::new(intake.finish()?)) };
        let mut outcome = Moved::default();
        let mut build = |newest: &Snapshot| -> Result<Option<Draft>, Error> {
            outcome = Moved::default();
            let fresh = self.to.intake(newest);
            let mut edits = edits.clone();
            for (name, theirs) in &heads.scenarios {
                let own = self.scenario(newest, &fresh, name, theirs, &mut outcome)?;
                edits.extend(self.alias(newest, name, theirs)?.filter(|_| !own.is_empty()));
                edits.extend(own);
            }
            for (name, theirs) in &heads.tags {
                edits.extend(self.tag(newest, name, theirs, &mut outcome)?);
            }
            if edits.is_empty() || self.is_dry {
                return Ok(None);
            }
            let both = [collected.as_ref().map(|one| (**one).clone()), Some(fresh.finish()?)];
            Ok(Some(Draft {
                collected: Some(Arc::new(Collected::together(both.into_iter().flatten()))),
                edits,
                restore: Some(Arc::new(FromStore(self.from.clone()))),
                ..Draft::default()
            }))
        };
        if self.is_dry {
            build(&snapshot)?;
        } else {
            self.to.publish(OpId::new(&*self.to.world().random), self.command, &mut build)?;
        }
        moved.scenarios += outcome.scenarios;
        moved.tags += outcome.tags;
        moved.met.append(&mut outcome.met);
        moved.seen.append(&mut outcome.seen);
        Ok(())
    }

    /// Things said, each checked against the object that says it.
    fn said(&self, about: &[About], snapshot: &Snapshot, moved: &mut Moved) -> Result<Said, Error> {
        let mut all = Said::default();
        let mut seen = BTreeSet::new();
        for (of, kind, said) in about {
            let wrong = |what: &str| Error::Forged {
                place: self.place(),
                what: format!("a ref says {kind} of object {of}, and {what}"),
            };
            let Some((found, bytes)) = self.from.read(said)? else { return Err(wrong("nothing says so")) };
            let edit = if found == Kind::NOTE && kind == crate::note::ABOUT {
                let note = Note::decode(&bytes)?;
                let (key, value) = crate::note::ref_of(&note, said)?;
                (note.of == *of).then(|| RefEdit::set(key, value))
            } else if found == Kind::VERDICT && kind == crate::verdict::ABOUT {
                let verdict = Verdict::decode(&bytes)?;
                let (key, value) = crate::verdict::ref_of(&verdict, said)?;
                (verdict.of == *of).then(|| RefEdit::set(key, value))
            } else if found == Kind::MARK {
                let mark = Mark::decode(&bytes)?;
                let is_it = mark.of == *of && mark.kind.as_str() == kind;
                if is_it && mark.kind == MarkKind::Scrub && mark.on {
                    let is_here = snapshot.locate_live(of)?.is_some();
                    if is_here && !self.is_push && !self.takes_scrubs {
                        moved.scrubbed_there.push(*of);
                        continue;
                    }
                    if is_here {
                        moved.scrubbed.push(*of);
                    }
                    all.has_scrubs = true;
                }
                let line = MarkLine { on: mark.on, at: mark.at, why: mark.why, author: mark.author };
                let key = key::about_one(of, mark.kind.as_str(), said);
                if is_it { Some(RefEdit::set(key, entry::encode(&line)?)) } else { None }
            } else {
                None
            };
            let edit = edit.ok_or_else(|| wrong("what is named for it says something else"))?;
            if seen.insert(edit.key.clone()) {
                all.objects.push((*said, found));
                all.edits.push(edit);
            }
        }
        Ok(all)
    }

    fn settings(snapshot: &Snapshot, id: &Id) -> Result<Option<Settings>, Error> {
        let Some((kind, bytes)) = snapshot.read(id)? else { return Ok(None) };
        if kind != Kind::SCENARIO {
            let place = snapshot.store().backend().place();
            return Err(Error::Forged { place, what: format!("object {id} is a {kind} and no scenario") });
        }
        let scenario = Scenario::decode(&bytes)?;
        let config = crate::scenario::config_of(snapshot, Some(&scenario))?;
        Ok(Some(Settings { scenario, config }))
    }

    /// The ref of the name that a scenario goes by at the source, if nothing here is called so.
    fn alias(&self, newest: &Snapshot, name: &str, theirs: &Id) -> Result<Option<RefEdit>, Error> {
        let settings = Self::settings(self.from, theirs)?;
        let Some(alias) = settings.filter(|one| one.scenario.name == name).and_then(|one| one.scenario.alias) else {
            return Ok(None);
        };
        let is_free =
            crate::scenario::check_name(&alias).is_ok() && !crate::scenario::exists(newest, self.project, &alias)?;
        let key = key::scenario(self.project, &alias);
        Ok(if is_free { Some(RefEdit::create(key, ScenarioRef::alias_of(name)?)) } else { None })
    }

    /// Settings of a scenario of which the source has `theirs`.
    fn scenario(
        &self,
        newest: &Snapshot,
        intake: &Intake,
        name: &str,
        theirs: &Id,
        moved: &mut Moved,
    ) -> Result<Vec<RefEdit>, Error> {
        let key = key::scenario(self.project, name);
        let seen = key::remote_seen(self.remote, self.project, "scenarios", name);
        let old = newest.get_ref(&key)?;
        let Some(old) = old else {
            moved.scenarios += 1;
            moved.seen.insert(seen, entry::encode(theirs)?);
            return Ok(vec![RefEdit::create(key, entry::encode(theirs)?)]);
        };
        // A name that another scenario goes by here stays that.
        let ScenarioRef::Settings(ours) = ScenarioRef::read(&old)? else { return Ok(Vec::new()) };
        let base = self.seen_scenarios.get(name);
        if ours == *theirs || base == Some(theirs) {
            moved.seen.insert(seen, entry::encode(theirs)?);
            return Ok(Vec::new());
        }
        if base == Some(&ours) {
            moved.scenarios += 1;
            moved.seen.insert(seen, entry::encode(theirs)?);
            return Ok(vec![RefEdit::moved(key, old, entry::encode(theirs)?)]);
        }
        let own = if self.is_push { self.from } else { newest };
        let base = base.map(|id| Self::settings(own, id)).transpose()?.flatten();
        let missing = |id: &Id| Error::LinkMissing { place: self.place(), kind: Kind::SCENARIO, id: *id };
        let mine = Self::settings(newest, &ours)?.ok_or_else(|| missing(&ours))?;
        let other = Self::settings(self.from, theirs)?.ok_or_else(|| missing(theirs))?;
        let merged = merge::settings(base.as_ref(), &mine, &other);
        let mut edits = Vec::new();
        let id = put(intake, merged.settings, self.is_dry)?;
        if id != ours {
            moved.scenarios += 1;
            edits.push(RefEdit::moved(key, old, entry::encode(&id)?));
        }
        let kept_as = (!merged.conflicts.is_empty() && !self.is_push).then(|| format!("{name}@{}", self.remote));
        if let Some(kept_as) = &kept_as {
            let kept = key::scenario(self.project, kept_as);
            if newest.get_ref(&kept)?.as_deref() != Some(&entry::encode(theirs)?) {
                edits.push(RefEdit { key: kept, expect: Expect::Any, new: Some(entry::encode(theirs)?) });
            }
        }
        if merged.conflicts.is_empty() {
            moved.seen.insert(seen, entry::encode(if self.is_push { &id } else { theirs })?);
        }
        moved.met.push(Met { what: "scenario", name: name.to_owned(), conflicts: merged.conflicts, kept_as });
        Ok(edits)
    }

    /// A tag of which the source has `theirs`.
    fn tag(&self, newest: &Snapshot, name: &str, theirs: &Tag, moved: &mut Moved) -> Result<Vec<RefEdit>, Error> {
        let key = key::tag(self.project, name);
        let seen = key::remote_seen(self.remote, self.project, "tags", name);
        let new = entry::encode(theirs)?;
        let base = self.seen_tags.get(name);
        let edit = match newest.get_ref(&key)? {
            // It was here, and was deleted: what the other side still has says nothing new.
            None if base == Some(&new) => return Ok(Vec::new()),
            None => RefEdit::create(key, new.clone()),
            Some(old) if old == new || base == Some(&new) => {
                moved.seen.insert(seen, new);
                return Ok(Vec::new());
            }
            Some(old) if base == Some(&old) => RefEdit::moved(key, old, new.clone()),
            Some(_) => {
                let kept_as = (!self.is_push).then(|| format!("{name}@{}", self.remote));
                let mut edits = Vec::new();
                if let Some(kept_as) = &kept_as {
                    let kept = key::tag(self.project, kept_as);
                    if newest.get_ref(&kept)?.as_ref() != Some(&new) {
                        edits.push(RefEdit { key: kept, expect: Expect::Any, new: Some(new) });
                    }
                }
                let conflicts = vec!["target".to_owned()];
                moved.met.push(Met { what: "tag", name: name.to_owned(), conflicts, kept_as });
                return Ok(edits);
            }
        };
        moved.tags += 1;
        moved.seen.insert(seen, new);
        Ok(vec![edit])
    }
}

/// Stores settings; returns the scenario's object.
fn put(intake: &Intake, settings: Settings, is_dry: bool) -> Result<Id, Error> {
    let Settings { mut scenario, config } = settings;
    let is_empty = matches!(&config, Value::Map(entries) if entries.is_empty());
    scenario.config = None;
    if !is_empty {
        let bytes = Config(config).encode()?;
        let id = id_of(&Kind::CONFIG, &bytes);
        if !is_dry {
            intake.put(&Kind::CONFIG, &id, &bytes)?;
        }
        scenario.config = Some(id);
    }
    let bytes = scenario.encode()?;
    let id = id_of(&Kind::SCENARIO, &bytes);
    if !is_dry {
        intake.put(&Kind::SCENARIO, &id, &bytes)?;
    }
    Ok(id)
}
