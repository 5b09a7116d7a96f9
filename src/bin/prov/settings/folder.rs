//! The folder of configuration that options ask for.

use bstr::BString;
use prov::run::config_part::{ConfigIdentity, FolderRequest};

use crate::args::{ConfigIdentityWord, ConfigWinsWord, FolderOptions, values};

/// Joins what the step's settings and the command line say. A base on the command line takes the place of the step's: of a folder and of a
/// run. `seen` turns a folder of the command line into one seen from where the step runs.
pub(crate) fn folder(file: &FolderOptions, given: &FolderOptions, seen: impl Fn(&[u8]) -> BString) -> FolderRequest {
    let has_base = given.base_run.is_some() || !given.config_dir.is_empty();
    let base = if has_base { given } else { file };
    let dirs = base.config_dir.iter().map(|dir| values::bytes(dir));
    FolderRequest {
        dirs: if has_base { dirs.map(|dir| seen(&dir)).collect() } else { dirs.collect() },
        first_wins: given.config_wins.or(file.config_wins) == Some(ConfigWinsWord::First),
        overrides: file.overrides.iter().chain(&given.overrides).cloned().collect(),
        base_run: base.base_run.clone(),
        identity: match given.config_identity.or(file.config_identity) {
            None | Some(ConfigIdentityWord::Bytes) => ConfigIdentity::Bytes,
            Some(ConfigIdentityWord::Values) => ConfigIdentity::Values,
            Some(ConfigIdentityWord::Off) => ConfigIdentity::Off,
        },
        adapter: given.config_adapter.clone().or_else(|| file.config_adapter.clone()),
        label: given.config_label.clone().or_else(|| file.config_label.clone()),
    }
}
