//! A run in a folder that needs no prov: its inputs, code and config, what it made, and a shell script that makes it again and compares.

use std::collections::BTreeMap;
use std::path::Path;

use bstr::{BString, ByteSlice};

use super::again::{self, Recorded};
use super::prepare::{self, Environment};
use super::restore::{Destination, RestoreOptions};
use super::session::Session;
use super::{Error, restore};
use crate::path::Place;
use crate::recipe::{self, Role};
use crate::revspec::{RunRef, Target};
use crate::store::Snapshot;
use crate::worktree::restore::Outcome;

/// What stands for the folder of the pack in words until it is known.
const HERE: &[u8] = b"/@the folder of this pack@";

/// What was packed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    /// Outputs, by key: where each lies below `outputs/`.
    pub outputs: BTreeMap<String, BString>,
    /// What could not be packed, for people.
    pub notes: Vec<String>,
}

/// Packs a run into `folder`, which must be empty or not there: `project/` is what it read, as it lay, `outputs/` what it made, `run.sh` executes
/// it again in a copy of the first and compares with the second.
///
/// # Errors
/// When it can't be executed again from what is on record ([`again::lay_out`] says why), or something of it can't be had.
pub fn pack(
    session: &Session<'_>,
    snapshot: &Snapshot,
    at: &RunRef,
    recorded: &Recorded,
    folder: &Path,
) -> Result<Packed, Error> {
    let fs = session.repo.fs();
    let io = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| Error::io(doing, &path, source)
    };
    let was_there = fs.lstat(folder).map_err(io("read", folder))?.is_some();
    if was_there && !fs.names(folder).map_err(io("list", folder))?.is_empty() {
        return Err(Error::Usage { what: format!("`{}` is not empty", crate::path::show(folder)) });
    }
    let packed = filled(session, snapshot, at, recorded, folder);
    if packed.is_err() {
        // Half a pack is none.
        for name in ["project", "outputs", "config.json", "run.sh", "README.md"] {
            let path = folder.join(name);
            let _ = if fs.is_dir(&path) { fs.remove_tree(&path) } else { fs.remove_file(&path) };
        }
        if !was_there {
            let _ = fs.remove_dir(folder);
        }
    }
    packed
}

fn filled(
    session: &Session<'_>,
    snapshot: &Snapshot,
    at: &RunRef,
    recorded: &Recorded,
    folder: &Path,
) -> Result<Packed, Error> {
    let fs = session.repo.fs();
    let write = |name: &str, bytes: &[u8], mode: u32| {
        let path = folder.join(name);
        let failed = |source| Error::io("write", &path, source);
        fs.replace(&path, bytes, false).map_err(failed)?;
        fs.set_mode(&path, mode).map_err(failed)
    };
    let project = folder.join("project");
    let laid = again::lay_out(session, snapshot, recorded, &project)?;
    let mut packed = Packed { notes: laid.notes.clone(), ..Packed::default() };
    let mut request = laid.request.clone();
    // What was never stored lies where it was, and is what it was: that was made sure of.
    for input in &mut request.inputs {
        let path = crate::path::from_bytes(&input.path);
        if path.strip_prefix(laid.repo.root()).is_ok() || crate::code::is_glob(&input.path) {
            continue;
        }
        let key = recipe::derive_key(input.key.as_deref().unwrap_or("input").into());
        let name = path.file_name().unwrap_or_else(|| "file".as_ref());
        let to = laid.repo.root().join("_outside").join(key).join(name);
        copy(fs, &path, &to)?;
        input.path = crate::path::bytes(&to);
    }

    // What was made.
    let outputs = folder.join("outputs");
    let options = RestoreOptions { to: Some(Destination::Below(outputs.clone())), ..RestoreOptions::default() };
    let target = Target::Outputs(at.clone());
    let mut newest = snapshot.clone();
    if let Some(elsewhere) = session.elsewhere()
        && elsewhere.bring(&restore::contents_of(session, snapshot, &target)?)
    {
        newest = session.repo.store().snapshot_since(snapshot)?;
    }
    let made = restore::restore(session, &newest, &target, &options)?;
    if let Some(bad) = made.items.iter().find(|item| !matches!(item.outcome, Outcome::Restored | Outcome::Kept)) {
        let key = bad.key.clone().unwrap_or_default();
        return Err(Error::OutputLost { key, path: bad.path.clone() });
    }
    for item in &made.items {
        if let (Some(key), Ok(below)) = (&item.key, item.path.strip_prefix(&outputs)) {
            packed.outputs.insert(key.clone(), crate::path::bytes(below));
        }
    }

    // What is executed: everything is seen from the folder that it runs in.
    let secrets = std::mem::take(&mut request.secret_env);
    request.tools.clear();
    request.container = None;
    let there = Session::new(&laid.repo, laid.repo.root().join(crate::path::from_bytes(&request.cwd)));
    let nothing = Environment::new();
    let own = laid.repo.store().snapshot()?;
    let prepared = prepare::prepare(&there, &own, &request, &nothing)?;
    let has_config = !matches!(&prepared.config, crate::codec::Value::Map(entries) if entries.is_empty());
    let here = crate::path::from_bytes(HERE);
    if has_config {
        // Byte for byte what a command is given.
        write("config.json", crate::config::to_json(&prepared.config).as_bytes(), 0o644)?;
    }
    let values = has_config.then(|| here.join("config.json"));
    let (config, values) = match (&prepared.config_folder, request.config_folder.dirs.first()) {
        (Some(_), Some(dir)) => {
            let dir = crate::path::from_bytes(dir);
            let below = dir.strip_prefix(laid.repo.root()).unwrap_or(&dir).to_owned();
            (Some(here.join("project").join(below)), values)
        }
        _ => (values, None),
    };
    let words = match &prepared.config_folder {
        Some(part) => part.words(&request.argv, &prepared.declared, b"{config}"),
        None => request.argv.clone(),
    };
    let expansion = recipe::Expansion {
        declared: &prepared.declared,
        config_file: config.as_deref(),
        config: &prepared.config,
        runtime: &request.runtime,
        dims: &request.dims,
    };
    let argv = recipe::expand(&words, &expansion)?;
    let seen = |place: &Place| match place {
        Place::Inside(path) => recipe::from_here(path, &prepared.declared),
        Place::Outside(path) => crate::path::bytes(path),
    };
    let mut variables: BTreeMap<String, Option<BString>> = BTreeMap::new();
    for (role, prefix) in [(Role::Input, "PROV_INPUT_"), (Role::Output, "PROV_OUTPUT_")] {
        for (key, place) in prepared.declared.places(role) {
            variables.insert(format!("{prefix}{}", recipe::variable_name(key)), Some(seen(place)));
        }
    }
    for (name, path) in [("PROV_CONFIG", config), ("PROV_CONFIG_VALUES", values)] {
        if let Some(path) = path {
            variables.insert(name.to_owned(), Some(crate::path::bytes(&path)));
        }
    }
    for (key, value) in &request.runtime {
        variables.insert(format!("PROV_RUNTIME_{}", recipe::variable_name(key)), Some(value.as_str().into()));
    }
    for (name, value) in &recorded.recipe.env {
        variables.insert(name.clone(), value.clone());
    }
    let mut compared = Vec::new();
    for (key, output) in &recorded.run.outputs {
        let Some(kept) = packed.outputs.get(key) else { continue };
        let made = match prepared.output(key) {
            Some(Place::Inside(path)) => path.as_bytes().to_owned(),
            // The folder that prov makes for a run.
            None if key == super::MANAGED_KEY => {
                variables.insert("PROV_OUTPUT_DIR".to_owned(), Some(OUTPUT_DIR.into()));
                "@output-dir".into()
            }
            _ => continue,
        };
        if output.set.is_none() {
            compared.push((made, kept.clone()));
            continue;
        }
        let join = |folder: &BString, name: &BString| -> BString {
            if folder.is_empty() || folder == "." {
                return name.clone();
            }
            bstr::join("/", [folder.as_slice(), name.as_slice()]).into()
        };
        compared.extend(output.members.keys().map(|name| (join(&made, name), join(kept, name))));
    }
    let stdin = prepared.stdin.as_ref().map(|(place, _)| seen(place));
    let script = Script { argv, cwd: request.cwd.clone(), variables, secrets: &secrets, stdin, compared };
    write("run.sh", &script.text(recorded), 0o755)?;
    write("README.md", readme(recorded, &script, &packed).as_bytes(), 0o644)?;
    drop(there);
    // It was a project only to be looked at.
    let dot = laid.repo.layout().dot().to_owned();
    fs.remove_tree(&dot).map_err(io_error("remove", &dot))?;
    Ok(packed)
}

/// Copies a file or a folder.
fn copy(fs: &crate::fs::Fs, from: &Path, to: &Path) -> Result<(), Error> {
    if let Some(parent) = to.parent() {
        fs.make_dirs(parent).map_err(io_error("create", parent))?;
    }
    let Some(stat) = fs.stat(from).map_err(io_error("read", from))? else {
        return Err(Error::InputMissing { path: from.to_owned(), is_restorable: false });
    };
    if stat.is_folder() {
        fs.make_dirs(to).map_err(io_error("create", to))?;
        for name in fs.names(from).map_err(io_error("list", from))? {
            copy(fs, &from.join(&name), &to.join(&name))?;
        }
        return Ok(());
    }
    let mut source = fs.open(from).map_err(io_error("read", from))?;
    let mut target = fs.create(to, 0o666).map_err(io_error("create", to))?;
    std::io::copy(&mut source, &mut target).map_err(io_error("write", to))?;
    fs.set_mode(to, stat.mode & 0o777).map_err(io_error("write", to))
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::io(doing, &path, source)
}

/// Where `PROV_OUTPUT_DIR` leads to, seen by the script.
const OUTPUT_DIR: &str = "/@the folder of this execution@/@output-dir";

const WORK: &[u8] = b"/@the folder of this execution@";

struct Script<'a> {
    argv: Vec<BString>,
    cwd: BString,
    variables: BTreeMap<String, Option<BString>>,
    secrets: &'a std::collections::BTreeSet<String>,
    stdin: Option<BString>,
    /// What is made, below the project, and what it is compared with, below the outputs.
    compared: Vec<(BString, BString)>,
}

/// A word for the shell that means just these bytes.
fn quoted(text: &[u8]) -> BString {
    let mut word = BString::default();
    let plain = |part: &[u8], word: &mut BString| {
        if !part.is_empty() {
            word.push(b'\'');
            word.extend_from_slice(&part.replace("'", "'\\''"));
            word.push(b'\'');
        }
    };
    let mut rest = text;
    loop {
        let next = [(HERE, &b"\"$here\""[..]), (WORK, b"\"$work\"")]
            .into_iter()
            .filter_map(|(mark, variable)| Some((rest.find(mark)?, mark, variable)))
            .min_by_key(|(at, ..)| *at);
        let Some((at, mark, variable)) = next else { break };
        plain(&rest[..at], &mut word);
        word.extend_from_slice(variable);
        rest = &rest[at + mark.len()..];
    }
    plain(rest, &mut word);
    if word.is_empty() { "''".into() } else { word }
}

impl Script<'_> {
    fn text(&self, recorded: &Recorded) -> Vec<u8> {
        let mut text = BString::from("#!/bin/sh\n");
        let mut line = |parts: &[&[u8]]| {
            for part in parts {
                text.extend_from_slice(part);
            }
            text.push(b'\n');
        };
        line(&[
            b"# Executes run ",
            recorded.run.run.as_bytes(),
            b" again, in a copy of project/, and compares with outputs/.",
        ]);
        line(&[b"# Usage: sh run.sh [FOLDER]      FOLDER must not be there yet; again/ beside this file without it"]);
        line(&[b"set -eu"]);
        line(&[b"here=$(CDPATH= cd -- \"$(dirname -- \"$0\")\" && pwd)"]);
        line(&[b"work=${1:-\"$here/again\"}"]);
        line(&[b"case $work in /*) ;; *) work=$PWD/$work ;; esac"]);
        line(&[b"if [ -e \"$work\" ]; then echo \"$work is there already\" >&2; exit 2; fi"]);
        for name in self.secrets {
            line(&[b": \"${", name.as_bytes(), b":?is needed: its value was never kept}\""]);
        }
        line(&[b"cp -R \"$here/project\" \"$work\""]);
        let below = if self.cwd.is_empty() { BString::from(".") } else { self.cwd.clone() };
        line(&[b"cd \"$work\"/", &quoted(&below)]);
        if self.variables.contains_key("PROV_OUTPUT_DIR") {
            line(&[b"mkdir \"$work/@output-dir\""]);
        }
        for (made, _) in &self.compared {
            if let Some(at) = made.rfind_byte(b'/') {
                line(&[b"mkdir -p \"$work\"/", &quoted(&made[..at])]);
            }
        }
        for (name, value) in &self.variables {
            match value {
                Some(value) => line(&[name.as_bytes(), b"=", &quoted(value), b"; export ", name.as_bytes()]),
                None => line(&[b"unset ", name.as_bytes(), b" || :"]),
            }
        }
        line(&[b"code=0"]);
        let words: Vec<BString> = self.argv.iter().map(|word| quoted(word)).collect();
        let stdin = self.stdin.as_ref().map_or_else(|| BString::from("/dev/null"), |path| quoted(path));
        line(&[&bstr::join(" ", &words), b" <", &stdin, b" || code=$?"]);
        let expected = recorded.run.exit_code.unwrap_or(0).to_string();
        line(&[
            b"if [ \"$code\" -ne ",
            expected.as_bytes(),
            b" ]; then echo \"it ended with code $code\" >&2; exit \"$code\"; fi",
        ]);
        line(&[b"differs=0"]);
        line(&[b"compare() {"]);
        line(&[b"\tif diff -r \"$work/$1\" \"$here/outputs/$2\" >/dev/null 2>&1; then echo \"same     $1\""]);
        line(&[b"\telse echo \"differs  $1\"; differs=1; fi"]);
        line(&[b"}"]);
        for (made, kept) in &self.compared {
            line(&[b"compare ", &quoted(made), b" ", &quoted(kept)]);
        }
        line(&[b"exit $differs"]);
        text.into()
    }
}

fn readme(recorded: &Recorded, script: &Script<'_>, packed: &Packed) -> String {
    use std::fmt::Write as _;
    let run = &recorded.run;
    let shown = |text: &[u8]| crate::path::shown(text);
    let mut text = String::new();
    let words: Vec<String> = run.argv.iter().map(|word| shown(word)).collect();
    let _ = write!(
        text,
        "# Run {}\n\nStep `{}` of project `{}`, recorded {} by prov{}{}.\n\n    {}\n\n",
        run.run,
        shown(run.step.as_bytes()),
        shown(run.project.as_bytes()),
        run.started_at,
        run.author.as_ref().map(|who| format!(", {}", shown(who.as_bytes()))).unwrap_or_default(),
        run.host.as_ref().map(|host| format!(", on {}", shown(host.as_bytes()))).unwrap_or_default(),
        words.join(" ")
    );
    if !run.description.is_empty() {
        let _ = write!(text, "{}\n\n", shown(run.description.as_bytes()));
    }
    text.push_str(
        "`sh run.sh` executes it again in a copy of `project/` and compares what comes out with `outputs/`: it ends with 0 if all is the same. \
         It needs a POSIX shell and the programs of the command, and no prov.\n\n",
    );
    let program = script.argv.first().map(|word| shown(word)).unwrap_or_default();
    let _ = write!(text, "* `project/`: code and inputs, as they lay\n* `outputs/`: what it made\n");
    if script.variables.contains_key("PROV_CONFIG") {
        text.push_str("* `config.json`: the parameters (`PROV_CONFIG`)\n");
    }
    let _ = write!(text, "\nProgram: `{program}`\n");
    for (name, version) in &recorded.recipe.tools {
        let _ = writeln!(text, "Version of {}: `{}`", shown(name.as_bytes()), shown(version.trim()));
    }
    if let Some(container) = &recorded.recipe.container {
        let _ = writeln!(text, "Container: `{}`", shown(container.as_bytes()));
    }
    for name in script.secrets {
        let _ = writeln!(text, "Needed in the environment, never kept: `{}`", shown(name.as_bytes()));
    }
    text.push_str("\n| | key | path | bytes | BLAKE3 |\n|---|---|---|---|---|\n");
    for (key, input) in &run.inputs {
        let id = input.content.id();
        let _ = writeln!(
            text,
            "| input | {} | `{}` | {} | `{id}` |",
            shown(key.as_bytes()),
            shown(&input.path),
            input.size
        );
    }
    for (key, output) in run.outputs.iter().filter(|(key, _)| packed.outputs.contains_key(*key)) {
        let id = output.content.id();
        let _ = writeln!(
            text,
            "| output | {} | `{}` | {} | `{id}` |",
            shown(key.as_bytes()),
            shown(&output.path),
            output.size
        );
    }
    text.push_str("\nThe digest of a folder is prov's; that of a file is what `b3sum` prints.\n");
    for note in &packed.notes {
        let _ = writeln!(text, "\nNot packed: {note}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_just_their_bytes() {
        let shell = |word: &BString| {
            let script = format!("here='/a b'; work=/w; printf %s {word}");
            let out = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            BString::from(out.stdout)
        };
        for text in ["", "plain", "it's", "$HOME `x` \"y\" \\ *", "two\nlines"] {
            assert_eq!(shell(&quoted(text.as_bytes())), text);
        }
        let text = [b"--file=".as_slice(), HERE, b"/c.json"].concat();
        assert_eq!(shell(&quoted(&text)), "--file=/a b/c.json");
    }
}
