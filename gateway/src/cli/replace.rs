//! Files that a command rewrites.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

/// Puts a text in the place of another one: readers see the old or the new, never a part. Permissions
/// stay as they are.
///
/// # Errors
/// The file says something else than `old` by now, or its directory cannot be written.
pub(super) fn replace(path: &Path, old: &str, new: &str) -> io::Result<()> {
    // A link stays one: what it leads to is written.
    let path = path.canonicalize()?;
    if fs::read(&path)? != old.as_bytes() {
        return Err(io::Error::other("it changed while it was looked at; run it again"));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Hidden, and no `.route`: nobody takes it for one of the sites.
    let beside = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let written = (|| {
        let mut file = fs::File::create_new(&beside)?;
        file.set_permissions(fs::metadata(&path)?.permissions())?;
        file.write_all(new.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}
