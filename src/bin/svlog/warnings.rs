//! The messages of svlog.

use std::path::Path;

use cli::display::{Charset, escape};
use cli::{Failure, text};
use nix::errno::Errno;
use reader::{CursorError, ReadWarning};
use unix::stdio::STDERR;

use super::SVLOG;

/// Prints a warning about the log of a service. Returns whether lines that exist
/// are missing in the output.
pub(crate) fn warn(service: &[u8], warning: &ReadWarning) -> bool {
    let service = shown(service);
    let file = |file: &std::ffi::OsString| shown(file.as_encoded_bytes());
    match warning {
        ReadWarning::Gone(count) => {
            let gone = match count {
                1 => "1 file is gone".to_owned(),
                _ => format!("{count} files are gone"),
            };
            SVLOG.warn_msg(text![service, ": ", gone]);
            return false;
        }
        ReadWarning::Unreadable { file: name, error } => {
            SVLOG.warn(text![service, ": unable to read ", file(name)], *error);
        }
        ReadWarning::NotRegular { file: name } => {
            SVLOG.warn_msg(text![service, ": skipped ", file(name), ": not a file"]);
        }
        ReadWarning::Damaged { file: name } => {
            SVLOG.warn_msg(text![service, ": unable to uncompress ", file(name)]);
        }
        ReadWarning::MissingTool { file: name, tool } => {
            let skipped = text![service, ": skipped ", file(name)];
            SVLOG.warn_msg(text![skipped, ": ", *tool, " is not installed"]);
        }
    }
    true
}

/// Prints a warning that a directory cannot be read.
pub(crate) fn warn_unreadable(path: &Path, error: Errno) {
    let path = shown(path.as_os_str().as_encoded_bytes());
    SVLOG.warn(text!["unable to read ", path], error);
}

/// A name of the file system, whose owner may be another user.
fn shown(name: &[u8]) -> String {
    escape(name, Charset::of_output(STDERR))
}

/// The failure to read or to write the cursor file.
pub(crate) fn unusable_cursor(file: &Path, error: &CursorError) -> Failure {
    let file = file.as_os_str();
    match error {
        CursorError::Read(error) => SVLOG.fatal(text!["unable to read cursor ", *file], *error),
        CursorError::Write(error) => SVLOG.fatal(text!["unable to write cursor ", *file], *error),
        CursorError::NoCursor | CursorError::Damaged | CursorError::Foreign(_) => {
            SVLOG.fatal_msg(text!["cursor ", *file, ": ", error.to_string()])
        }
    }
}
