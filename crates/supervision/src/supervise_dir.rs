//! The supervise directory of a service: the directory of the lock, the FIFOs,
//! the status and all other files of supervise or runsv. This module alone
//! decides where it is.

use std::borrow::Cow;
use std::ffi::{CStr, CString};

use cli::text;
use daemontools_core::names;

/// The supervise directory of a service, or of its logger. A relative path
/// starts at the service directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuperviseDir {
    /// None: `supervise`.
    path: Option<CString>,
}

/// The directory [`names::SUPERVISE`] in the service directory, as in 0.76 and
/// runit.
pub static IN_SERVICE: SuperviseDir = SuperviseDir { path: None };

impl SuperviseDir {
    /// The path of a file that [`names`] lists in [`names::SUPERVISE`], or of the
    /// supervise directory itself. Other names, such as those of
    /// [`names::LOGGER`], stay as they are.
    #[must_use]
    pub fn path(&self, name: &'static CStr) -> Cow<'static, CStr> {
        let moved = self.path.as_ref().and_then(|path| {
            let rest = name.to_bytes().strip_prefix(names::SUPERVISE.to_bytes())?;
            let is_inside = rest.is_empty() || rest.starts_with(b"/");
            is_inside.then(|| CString::new([path.to_bytes(), rest].concat()).unwrap_or_default())
        });
        moved.map_or(Cow::Borrowed(name), Cow::Owned)
    }

    /// The name of a file of the service in messages. `service` is the service
    /// directory as the user calls it.
    #[must_use]
    pub fn display(&self, service: &CStr, name: &'static CStr) -> Vec<u8> {
        let path = self.path(name);
        if path.to_bytes().starts_with(b"/") {
            path.to_bytes().to_vec()
        } else {
            text![service, "/", *path]
        }
    }
}
