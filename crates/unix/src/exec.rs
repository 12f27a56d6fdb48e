//! The one way in which these programs become, or start, another program.

use std::ffi::{CStr, CString};
use std::marker::PhantomData;

use libc::c_char;
use nix::errno::Errno;

/// Where programs are looked for when the environment has no PATH.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// A program with its arguments and environment, ready for execve: all
/// memory is taken when it is made, so that [`PreparedExec::exec`] may be called
/// between fork and exec.
#[derive(Debug)]
pub struct PreparedExec<'a> {
    candidates: Vec<CString>,
    argv: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    strings: PhantomData<&'a CStr>,
}

impl<'a> PreparedExec<'a> {
    /// The program that argv names, as execvp of the original looks it up: a
    /// name with a slash as it is, any other in every element of `path` in
    /// turn, where an empty element is the current directory. `path` is
    /// PATH's value, None if it is not set.
    #[must_use]
    pub fn search(path: Option<&[u8]>, argv: &[&'a CStr], environment: &[&'a CStr]) -> Self {
        let name = argv.first().copied().unwrap_or_default();
        PreparedExec::search_for(name, path, argv, environment)
    }

    /// As [`PreparedExec::search`], for the program `name`, whatever argv calls it.
    #[must_use]
    pub fn search_for(
        name: &CStr,
        path: Option<&[u8]>,
        argv: &[&'a CStr],
        environment: &[&'a CStr],
    ) -> Self {
        let name = name.to_bytes();
        let candidates = if name.contains(&b'/') {
            vec![joined(&[name])]
        } else {
            path.unwrap_or(DEFAULT_PATH)
                .split(|&byte| byte == b':')
                .map(|directory| {
                    let directory = if directory.is_empty() {
                        b"."
                    } else {
                        directory
                    };
                    joined(&[directory, b"/", name])
                })
                .collect()
        };
        PreparedExec::new(candidates, argv, environment)
    }

    /// The program in the file `path`, whatever argv calls it.
    #[must_use]
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

    /// Becomes the program; returns only if that failed, and why.
    ///
    /// ENOENT goes on to the next candidate. EACCES, EPERM and EISDIR are
    /// remembered and go on, any other error stops. The error is the last
    /// one remembered, else the last one.
    #[must_use]
    pub fn exec(&self) -> Errno {
        let mut error = Errno::ENOENT;
        for candidate in &self.candidates {
            let (argv, environment) = (self.argv.as_ptr(), self.environment.as_ptr());
            // SAFETY: each pointer is to a NUL-ended string or to an array of
            // such that a null pointer ends; all outlive the call.
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

fn joined(parts: &[&[u8]]) -> CString {
    // The parts come from C strings, so there is no NUL to cut at.
    let mut bytes = parts.concat();
    bytes.retain(|&byte| byte != 0);
    CString::new(bytes).unwrap_or_default()
}

fn pointers(strings: &[&CStr]) -> Vec<*const c_char> {
    strings
        .iter()
        .map(|string| string.as_ptr())
        .chain([std::ptr::null()])
        .collect()
}
