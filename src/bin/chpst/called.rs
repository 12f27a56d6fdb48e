//! chpst called by the name of a daemontools program: the changes of that
//! program, with the messages of chpst.

use std::ffi::CStr;

use chain::limits::SoftLimit;
use chain::lock::LockMode;
use chain::{limits, lock};
use cli::{Opt, Program};

use super::changes::{Changes, LockSpec, Subdirectories, UserSpec};
use super::{CHPST, UsageError};

type Parsed<'a> = Result<Changes<'a>, UsageError>;

/// A program with the messages of chpst.
const fn program(usage: &'static str, options: &'static [Opt]) -> Program {
    let name = "chpst";
    Program {
        name,
        usage,
        options,
    }
}

static ENVDIR: Program = program(" dir child", &[]);

pub(crate) fn envdir<'a>(arguments: &'a [&'static CStr]) -> Parsed<'a> {
    let (directory, program) = operand(arguments.get(1..), &ENVDIR)?;
    Ok(Changes {
        variables: Some((directory, Subdirectories::Refused)),
        program,
        ..Changes::default()
    })
}

static ENVUIDGID: Program = program(" account child", &[]);

pub(crate) fn envuidgid<'a>(arguments: &'a [&'static CStr]) -> Parsed<'a> {
    let (account, program) = operand(arguments.get(1..), &ENVUIDGID)?;
    Ok(Changes {
        id_variables: Some(UserSpec::Account(account)),
        program,
        ..Changes::default()
    })
}

static SETUIDGID: Program = program(" account child", &[]);

pub(crate) fn setuidgid<'a>(arguments: &'a [&'static CStr]) -> Parsed<'a> {
    let (account, program) = operand(arguments.get(1..), &SETUIDGID)?;
    Ok(Changes {
        user: Some(UserSpec::Account(account)),
        program,
        ..Changes::default()
    })
}

static PGRPHACK: Program = program(" child", &[]);

pub(crate) fn pgrphack<'a>(arguments: &'a [&'static CStr]) -> Parsed<'a> {
    Ok(Changes {
        session: true,
        program: child(arguments.get(1..), &PGRPHACK)?,
        ..Changes::default()
    })
}

static SETLOCK: Program = program(" [ -nNxX ] file program [ arg ... ]", &lock::OPTIONS);

/// -n and -N are those of daemontools. runit's chpst swaps them, and its default
/// is not to wait.
pub(crate) fn setlock<'a>(arguments: &'a [&'static CStr]) -> Parsed<'a> {
    let (mut mode, mut silent) = (LockMode::Wait, false);
    let mut options = SETLOCK.options(arguments);
    while let Some((letter, _)) = options
        .read()
        .map_err(|message| UsageError(message, &SETLOCK))?
    {
        match letter {
            b'n' => mode = LockMode::Try,
            b'N' => mode = LockMode::Wait,
            letter => silent = letter == b'x',
        }
    }
    let (file, program) = operand(Some(options.operands()), &SETLOCK)?;
    Ok(Changes {
        lock: Some(LockSpec { file, mode, silent }),
        program,
        ..Changes::default()
    })
}

static SOFTLIMIT: Program = program(
    " [-a allbytes] [-c corebytes] [-d databytes] [-f filebytes] [-l lockbytes] [-m membytes] \
     [-o openfiles] [-p processes] [-r residentbytes] [-s stackbytes] [-t cpusecs] child",
    &limits::OPTIONS,
);

/// As in runit, limits are set in the order of chpst, and a malformed number
/// prints the usage of chpst.
pub(crate) fn softlimit<'a>(arguments: &'a [&'static CStr]) -> Parsed<'a> {
    let mut changes = Changes::default();
    let mut options = SOFTLIMIT.options(arguments);
    while let Some((letter, value)) = options
        .read()
        .map_err(|message| UsageError(message, &SOFTLIMIT))?
    {
        let limit = match value {
            b"=" => Some(SoftLimit::Hard),
            number => SoftLimit::parse_signed(number),
        };
        changes.limit(letter, limit.ok_or_else(|| UsageError::of(&CHPST))?);
    }
    changes.program = child(Some(options.operands()), &SOFTLIMIT)?;
    Ok(changes)
}

/// The first operand, and the program to execute.
fn operand<'a>(
    operands: Option<&'a [&'static CStr]>,
    program: &'static Program,
) -> Result<(&'a [u8], &'a [&'static CStr]), UsageError> {
    let [first, rest @ ..] = operands.unwrap_or_default() else {
        return Err(UsageError::of(program));
    };
    Ok((first.to_bytes(), child(Some(rest), program)?))
}

/// The program to execute.
fn child<'a>(
    operands: Option<&'a [&'static CStr]>,
    program: &'static Program,
) -> Result<&'a [&'static CStr], UsageError> {
    operands
        .filter(|child| !child.is_empty())
        .ok_or_else(|| UsageError::of(program))
}
