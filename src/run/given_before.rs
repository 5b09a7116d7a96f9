//! Inputs that are what an earlier run was given: its config and its code.

use bstr::BString;

use super::Error;
use super::given::VALUES;
use super::inputs::{Finder, ReadyInput, Stored, aside};
use crate::codec::Value;
use crate::object::config::Config;
use crate::object::recipe::Content;
use crate::object::{Record, Source};
use crate::path::locate;
use crate::recipe::{self, Role};
use crate::revspec::{self, RunRef, Target};
use crate::worktree::{self, CaptureOptions};

impl Finder<'_, '_> {
    /// `RUN:@config`, something in it, or `RUN:@code`: a folder, a file, or the values as a JSON file, in a place of its own.
    pub(super) fn given(&mut self, key: Option<&str>, text: &str, target: Target) -> Result<(), Error> {
        let named = |at: &RunRef| {
            let part = text.find(":@").map_or("", |from| &text[from..]);
            Some(BString::from(format!("{}{part}", at.run)))
        };
        let (at, name, content) = match target {
            Target::Config(at, id) => return self.values(key, &at, named(&at), &id),
            Target::ConfigFolder(at, name, content) => (at, name, content),
            Target::Code(at, id) => (at, "code".to_owned(), Content::Tree(id)),
            _ => return Err(Error::Usage { what: format!("`{text}` is neither config nor code of a run") }),
        };
        let key = key.map_or_else(|| recipe::derive_key(name.as_str().into()), ToOwned::to_owned);
        let run = revspec::read_run(self.snapshot, &at.run, &at.object)?;
        let whole = run.inputs.values().find(|input| input.content == content).map(|input| input.size);
        let size = match whole {
            Some(size) => size,
            None => self.snapshot.header(&content.id())?.map_or(0, |(_, size)| size),
        };
        let (named, options) = (named(&at), CaptureOptions::default());
        let (producer, members, path) = (None, None, BString::from(name));
        self.stored(key, Stored { text, content, size, exec: false, producer, path, named, members, options }, None)
    }

    /// The values that a run was given, as its command found them.
    fn values(
        &mut self,
        key: Option<&str>,
        at: &RunRef,
        recorded: Option<BString>,
        id: &crate::hash::Id,
    ) -> Result<(), Error> {
        let (session, root) = (self.session, self.session.repo.root());
        let lost = || Error::Usage { what: format!("the config of run {} is not in the store any more", at.run) };
        let bytes = self.snapshot.read(id)?.ok_or_else(lost)?.1;
        let config = Config::decode(&bytes).map_err(|source| Error::Record { run: at.run.clone(), source })?;
        let values: &Value = &config.0;
        let bytes = crate::config::to_json(values).into_bytes();
        let wanted = Content::Blob(crate::hash::blob(&bytes));
        let folder = aside(session, &wanted.id());
        let path = folder.join(VALUES);
        let place = locate(root, root, &path);
        let look = || worktree::capture(&session.worktree(), &place, &CaptureOptions::default(), None);
        let here = look().ok().filter(|captured| captured.content == wanted);
        let captured = match here {
            Some(captured) => captured,
            None => {
                let written =
                    session.repo.fs().make_dirs(&folder).and_then(|()| session.repo.fs().replace(&path, &bytes, false));
                written.map_err(|source| Error::io("write", &path, source))?;
                look()?
            }
        };
        if captured.content != wanted {
            return Err(Error::ChangedBefore { path });
        }
        let typed = crate::path::bytes(&path);
        let key =
            self.declared.add_at(Role::Input, Some(key.unwrap_or("config")), place.clone(), typed.as_slice().into())?;
        self.put(key, ReadyInput { recorded, ..Self::plain(place, captured) });
        Ok(())
    }
}
