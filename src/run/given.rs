//! What the program of a run is given: its words, its config, its environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::time::Duration;

use super::execute::{Command, Stdin};
use super::prepare::{Environment, Prepared};
use super::request::Request;
use super::secrets::Secrets;
use super::session::Session;
use super::{Error, live, managed};
use crate::codec::Value;
use crate::path::Place;
use crate::recipe::{self, Role};
use crate::store::Snapshot;

/// The values of its config in the folder of a run.
pub(super) const VALUES: &str = "config.json";

/// Where the config of a run lies for its program.
pub(super) struct Given {
    /// The file or folder that it is given.
    config: Option<PathBuf>,
    /// The values alone, when a folder is given.
    values: Option<PathBuf>,
}

/// Writes the config for the program of a run.
pub(super) fn lay_config(
    session: &Session<'_>,
    snapshot: &Snapshot,
    prepared: &Prepared,
    running: &live::Running,
) -> Result<Given, Error> {
    let has_values = !matches!(&prepared.config, Value::Map(entries) if entries.is_empty());
    let file = running.dir().join(VALUES);
    if has_values {
        let text = crate::config::to_json(&prepared.config);
        // Nobody reads it before the program starts.
        let written = session.repo.fs().create_new(&file, 0o666).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|source| Error::io("write", &file, source))?;
    }
    let values = has_values.then_some(file);
    let Some(part) = &prepared.config_folder else { return Ok(Given { config: values, values: None }) };
    let folder = running.dir().join("config");
    part.lay_out(session, snapshot, &folder)?;
    Ok(Given { config: Some(folder), values })
}

/// What a program of the run finds in its environment.
pub(super) fn told_environment(
    session: &Session<'_>,
    request: &Request,
    prepared: &Prepared,
    running: &live::Running,
    given: &Given,
) -> Result<BTreeMap<OsString, OsString>, Error> {
    let mut environment: BTreeMap<OsString, OsString> = BTreeMap::new();
    let managed = managed::make(session, prepared, running)?;
    let mut set = |name: String, value: PathBuf| environment.insert(name.into(), value.into_os_string());
    for (name, path) in [("PROV_CONFIG", &given.config), ("PROV_CONFIG_VALUES", &given.values)] {
        if let Some(path) = path {
            set(name.to_owned(), path.clone());
        }
    }
    if let Some(folder) = managed {
        set("PROV_OUTPUT_DIR".to_owned(), folder);
    }
    let seen = |place: &Place| match place {
        Place::Inside(path) => crate::path::from_bytes(&recipe::from_here(path, &prepared.declared)),
        Place::Outside(path) => path.clone(),
    };
    for (role, prefix) in [(Role::Input, "PROV_INPUT_"), (Role::Output, "PROV_OUTPUT_")] {
        for (key, place) in prepared.declared.places(role) {
            set(format!("{prefix}{}", recipe::variable_name(key)), seen(place));
        }
    }
    for (key, value) in &request.runtime {
        let name = format!("PROV_RUNTIME_{}", recipe::variable_name(key));
        environment.insert(name.into(), value.into());
    }
    let lifecycle = &request.lifecycle;
    if let Some(correlation) = &lifecycle.correlation_id {
        environment.insert("PROV_CORRELATION_ID".into(), correlation.clone().into());
        environment.insert("PROV_ATTEMPT".into(), lifecycle.attempt_number().to_string().into());
        let last = if lifecycle.last_attempt { "1" } else { "0" };
        environment.insert("PROV_LAST_ATTEMPT".into(), last.into());
    }
    for (name, value) in &request.env {
        if let Some(value) = value {
            environment.insert(name.into(), OsString::from_vec(value.to_vec()));
        }
    }
    Ok(environment)
}

pub(super) fn command(
    session: &Session<'_>,
    snapshot: &Snapshot,
    request: &Request,
    prepared: &Prepared,
    running: &live::Running,
    environment: &Environment,
) -> Result<Command, Error> {
    let worktree = session.worktree();
    let given = lay_config(session, snapshot, prepared, running)?;
    let words = match &prepared.config_folder {
        // A layer that holds just what it should is read where it lies, with everything that lies around it.
        Some(part) if !part.is_as_it_lies() => part.words(&request.argv, &prepared.declared, b"{config}"),
        _ => request.argv.clone(),
    };
    let expansion = recipe::Expansion {
        declared: &prepared.declared,
        config_file: given.config.as_deref(),
        config: &prepared.config,
        runtime: &request.runtime,
        dims: &request.dims,
    };
    let argv = recipe::expand(&words, &expansion)?;
    let mut command = Command::new(argv, prepared.cwd.clone());
    command.search_path = environment.get(std::ffi::OsStr::new("PATH")).cloned();
    command.timeout = request.timeout_ms.map(Duration::from_millis);
    if let Some(grace) = session.batch().and_then(super::batch::Batch::grace) {
        command.grace = grace;
        command.must_end = true;
    }
    if let Some((place, _)) = &prepared.stdin {
        command.stdin = Stdin::File(worktree.path(place));
    }
    command.set_env = told_environment(session, request, prepared, running, &given)?;
    command.secrets = Secrets::needed(&request.secret_env, environment)?;
    Ok(command)
}
