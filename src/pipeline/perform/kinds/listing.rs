//! Files that a pattern matches, wherever the pattern leads.

use crate::fs::Fs;
use crate::pipeline::expand::glob;
use crate::pipeline::perform::{Address, Failure, Location, io_failure, write};

/// The folder of a pattern: what stands before its first special character, up to a slash.
pub(super) fn folder(pattern: &str) -> &str {
    let (prefix, _) = glob::split(pattern);
    prefix.rfind('/').map_or("", |slash| &prefix[..=slash])
}

/// The absolute locations that `pattern` matches below its folder, which is at `place`, in order.
pub(super) fn matching(fs: &Fs, pattern: &str, place: &Location) -> Result<Vec<String>, Failure> {
    let (prefix, rest) = glob::split(pattern);
    // What stands before the special character in the same folder belongs to the name: `dir/pre*.csv` is `pre*.csv` in `dir`.
    let start = &prefix[folder(pattern).len()..];
    match place.address() {
        Address::Local(base) => {
            let base = base.components().collect::<std::path::PathBuf>();
            let mut found =
                glob::list(fs, &base, &format!("{start}{rest}")).map_err(io_failure("list", place.absolute.clone()))?;
            found.retain(|path| !write::is_part(path));
            Ok(found)
        }
        Address::Http(_) => {
            Err(Failure::Spec { problem: format!("`{pattern}`: a server can't be asked for its files by a pattern") })
        }
        Address::Other(scheme) => {
            Err(Failure::Spec { problem: format!("`{pattern}`: nothing here can list `{scheme}://`") })
        }
    }
}
