//! Executing another program.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::io::Write;
use std::marker::PhantomData;

use libc::c_char;
use nix::errno::Errno;

use crate::start::inherited_environment;

/// The search path without PATH in the environment.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// A program with its arguments and environment, ready for execve(2). The
/// constructors allocate all memory, so [`PreparedExec::exec`] is
/// async-signal-safe between fork and exec.
#[derive(Debug)]
pub struct PreparedExec<'a> {
    candidates: Candidates<'a>,
    argv: Pointers,
    environment: Pointers,
    strings: PhantomData<&'a CStr>,
}

/// The files that are tried in turn.
#[derive(Debug)]
enum Candidates<'a> {
    One(Cow<'a, CStr>),
    Search(Cow<'a, [CString]>),
}

/// The maximum number of arguments that need no allocation.
const FEW: usize = 7;

/// An array of strings that ends with a null pointer.
#[derive(Debug)]
enum Pointers {
    Few([*const c_char; FEW + 1]),
    Many(Vec<*const c_char>),
    /// The environment that this process inherited.
    Inherited(*const *const c_char),
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
            Candidates::One(Cow::Owned(name.to_owned()))
        } else {
            Candidates::Search(Cow::Owned(candidates(name, path)))
        };
        PreparedExec::new(candidates, argv, environment)
    }

    /// The program in the file `path`.
    pub fn at(path: &CStr, argv: &[&'a CStr], environment: &[&'a CStr]) -> Self {
        let candidates = Candidates::One(Cow::Owned(path.to_owned()));
        PreparedExec::new(candidates, argv, environment)
    }

    /// The program in the file that argument 0 names, with the inherited
    /// environment. Does not allocate for up to seven arguments.
    pub fn inheriting(argv: &[&'a CStr]) -> Self {
        let path = argv.first().copied().unwrap_or_default();
        PreparedExec {
            candidates: Candidates::One(Cow::Borrowed(path)),
            argv: Pointers::new(argv),
            environment: Pointers::Inherited(inherited_environment()),
            strings: PhantomData,
        }
    }

    /// The first of `candidates` that exists, with the inherited environment. Does not
    /// allocate for up to seven arguments.
    pub fn first_of(candidates: &'a [CString], argv: &[&'a CStr]) -> Self {
        PreparedExec {
            candidates: Candidates::Search(Cow::Borrowed(candidates)),
            ..PreparedExec::inheriting(argv)
        }
    }

    fn new(candidates: Candidates<'a>, argv: &[&'a CStr], environment: &[&'a CStr]) -> Self {
        PreparedExec {
            candidates,
            argv: Pointers::new(argv),
            environment: Pointers::new(environment),
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
        let (one, search) = match &self.candidates {
            Candidates::One(path) => (Some(&**path), &[][..]),
            Candidates::Search(all) => (None, &**all),
        };
        let search = search.iter().map(CString::as_c_str);
        for candidate in one.into_iter().chain(search) {
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

/// The files that the search for a name without a slash tries in turn, as
/// [`PreparedExec::search`].
pub fn candidates(name: &CStr, path: Option<&[u8]>) -> Vec<CString> {
    let directories = path.unwrap_or(DEFAULT_PATH).split(|&byte| byte == b':');
    let candidates = directories.map(|directory| {
        let directory = match directory {
            b"" => b".",
            directory => directory,
        };
        // The value of PATH has no NUL.
        let candidate = [directory, b"/", name.to_bytes()].concat();
        CString::new(candidate).unwrap_or_default()
    });
    candidates.collect()
}

impl Pointers {
    fn new(strings: &[&CStr]) -> Self {
        let strings = strings.iter().map(|string| string.as_ptr());
        if strings.len() > FEW {
            return Pointers::Many(strings.chain([std::ptr::null()]).collect());
        }
        let mut few = [std::ptr::null(); FEW + 1];
        for (place, string) in few.iter_mut().zip(strings) {
            *place = string;
        }
        Pointers::Few(few)
    }

    fn as_ptr(&self) -> *const *const c_char {
        match self {
            Pointers::Few(few) => few.as_ptr(),
            Pointers::Many(many) => many.as_ptr(),
            Pointers::Inherited(array) => *array,
        }
    }
}

/// A number as an argument, on the stack.
#[derive(Clone, Copy, Debug)]
pub struct NumberArgument([u8; NumberArgument::LENGTH]);

impl NumberArgument {
    /// The digits of any number of 64 bits, its sign, and a NUL.
    const LENGTH: usize = 21;

    /// The number in decimal.
    pub fn new(number: impl Into<i64>) -> Self {
        let mut bytes = [0; NumberArgument::LENGTH];
        let digits = bytes.get_mut(..NumberArgument::LENGTH - 1);
        // The space suffices.
        let _ = write!(digits.unwrap_or_default(), "{}", number.into());
        NumberArgument(bytes)
    }

    /// The argument.
    pub fn as_c_str(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_arguments_are_decimal() {
        for number in [0, -1, 42, i64::MAX, i64::MIN] {
            let argument = NumberArgument::new(number);
            assert_eq!(argument.as_c_str().to_str().unwrap(), number.to_string());
        }
    }
}
