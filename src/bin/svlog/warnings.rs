//! The messages of svlog.

use std::path::Path;

use cli::{Failure, text};
use reader::{CursorError, ReadWarning};

use super::SVLOG;

/// Prints a warning about the log of a service. Returns whether lines that exist
/// are missing in the output.
pub(crate) fn warn(service: &[u8], warning: &ReadWarning) -> bool {
    match warning {
        ReadWarning::Gone(count) => {
            let gone = match count {
                1 => "1 file is gone".to_owned(),
                _ => format!("{count} files are gone"),
            };
            SVLOG.warn_msg(text![service, ": ", gone]);
            false
        }
        ReadWarning::Unreadable { file, error } => {
            SVLOG.warn(
                text![service, ": unable to read ", *file.as_os_str()],
                *error,
            );
            true
        }
        ReadWarning::MissingTool { file, tool } => {
            let problem = text![
                service,
                ": skipped ",
                *file.as_os_str(),
                ": ",
                *tool,
                " is not installed"
            ];
            SVLOG.warn_msg(problem);
            true
        }
    }
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
