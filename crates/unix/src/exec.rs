//! Executing another program.

use std::ffi::{CStr, CString};
use std::marker::PhantomData;

use libc::c_char;
use nix::errno::Errno;

/// The search path without PATH in the environment.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// A program with its arguments and environment, ready for execve(2). The
/// constructors allocate all memory, so [`PreparedExec::exec`] is
/// async-signal-safe between fork and exec.
#[derive(Debug)]
pub struct PreparedExec<'a> {
    candidates: Vec<CString>,
    argv: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    strings: PhantomData<&'a CStr>,
}

impl<'a> PreparedExec<'a> {
    /// The program that argv names, searched for as in 0.76's `pathexec`. A name
    /// with a slash is a path. Any other name is tried in every element of
    /// `path`, the value of PATH; an empty element is the current directory.
    /// Default for None: `/bin:/usr/bin`.
    pub fn search(path: Option<&[u8]>, argv: &[&'a CStr], environment: &[&'a CStr]) -> Self {
        let name = argv.first().copied().unwrap_or_default();
        PreparedExec::search_for(name, path, argv, environment)
    }

    /// As [`PreparedExec::search`], for `name` in place of argument 0.
    pub fn search_for(
        name: &CStr,
        path: Option<&[u8]>,
        argv: &[&'a CStr],
        environment: &[&'a CStr],
    ) -> Self {
        let candidates = if name.to_bytes().contains(&b'/') {
            vec![name.to_owned()]
        } else {
            path.unwrap_or(DEFAULT_PATH)
                .split(|&byte| byte == b':')
                .map(|directory| {
                    let directory = match directory {
                        b"" => b".",
                        directory => directory,
                    };
                    // The value of PATH has no NUL.
                    let candidate = [directory, b"/", name.to_bytes()].concat();
                    CString::new(candidate).unwrap_or_default()
                })
                .collect()
        };
        PreparedExec::new(candidates, argv, environment)
    }

    /// The program in the file `path`.
    pub fn at(path: &CStr, argv: &[&'a CStr], environment: &[&'a CStr]) -> Self {
        PreparedExec::new(vec![path.to_owned()], argv, environment)
    }

    fn new(candidates: Vec<CString>, argv: &[&'a CStr], environment: &[&'a CStr]) -> Self {
        PreparedExec {
            candidates,
            argv: pointers(argv),
            environment: pointers(environment),
            strings: PhantomData,
        }
    }

    /// Executes the program; returns the error if that fails.
    ///
    /// As in 0.76, the search continues after ENOENT, EACCES, EPERM and EISDIR
    /// and ends at any other error. The result is that error, or the last error
    /// that was not ENOENT, or ENOENT.
    pub fn exec(&self) -> Errno {
        let mut error = Errno::ENOENT;
        for candidate in &self.candidates {
            let (argv, environment) = (self.argv.as_ptr(), self.environment.as_ptr());
            // SAFETY: the pointers lead to NUL-terminated strings and to
            // null-terminated arrays of such; all outlive the call.
            unsafe { libc::execve(candidate.as_ptr(), argv, environment) };
            match Errno::last() {
                Errno::ENOENT => {}
                remembered @ (Errno::EACCES | Errno::EPERM | Errno::EISDIR) => error = remembered,
                other => return other,
            }
        }
        error
    }
}

fn pointers(strings: &[&CStr]) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}
