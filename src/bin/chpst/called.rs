//! What chpst does when it is called as a program of daemontools: what that
//! program is for, with the messages of chpst.

use std::ffi::CStr;

use chain::limits::Bound;
use chain::lock::Held;
use chain::{limits, lock};
use cli::{Opt, Program};

use super::order::{Lock, Order, Subdirectories, Who};
use super::{CHPST, Misuse};

type Read<'a> = Result<Order<'a>, Misuse>;

/// A program whose messages are those of chpst.
const fn program(usage: &'static str, options: &'static [Opt]) -> Program {
    let name = "chpst";
    Program {
        name,
        usage,
        options,
    }
}

static ENVDIR: Program = program(" dir child", &[]);

pub(crate) fn envdir<'a>(arguments: &'a [&'static CStr]) -> Read<'a> {
    let (directory, program) = operand(arguments.get(1..), &ENVDIR)?;
    Ok(Order {
        variables: Some((directory, Subdirectories::Refused)),
        program,
        ..Order::default()
    })
}

static ENVUIDGID: Program = program(" account child", &[]);

pub(crate) fn envuidgid<'a>(arguments: &'a [&'static CStr]) -> Read<'a> {
    let (account, program) = operand(arguments.get(1..), &ENVUIDGID)?;
    Ok(Order {
        announced: Some(Who::Account(account)),
        program,
        ..Order::default()
    })
}

static SETUIDGID: Program = program(" account child", &[]);

pub(crate) fn setuidgid<'a>(arguments: &'a [&'static CStr]) -> Read<'a> {
    let (account, program) = operand(arguments.get(1..), &SETUIDGID)?;
    Ok(Order {
        user: Some(Who::Account(account)),
        program,
        ..Order::default()
    })
}

static PGRPHACK: Program = program(" child", &[]);

pub(crate) fn pgrphack<'a>(arguments: &'a [&'static CStr]) -> Read<'a> {
    Ok(Order {
        session: true,
        program: child(arguments.get(1..), &PGRPHACK)?,
        ..Order::default()
    })
}

static SETLOCK: Program = program(" [ -nNxX ] file program [ arg ... ]", &lock::OPTIONS);

/// -n and -N are those of daemontools: runit has them the wrong way round,
/// and does not wait if neither is given.
pub(crate) fn setlock<'a>(arguments: &'a [&'static CStr]) -> Read<'a> {
    let (mut held, mut silent) = (Held::Wait, false);
    let mut options = SETLOCK.options(arguments);
    while let Some((letter, _)) = options.read().map_err(|said| Misuse(said, &SETLOCK))? {
        match letter {
            b'n' => held = Held::GiveUp,
            b'N' => held = Held::Wait,
            letter => silent = letter == b'x',
        }
    }
    let (file, program) = operand(Some(options.operands()), &SETLOCK)?;
    Ok(Order {
        lock: Some(Lock { file, held, silent }),
        program,
        ..Order::default()
    })
}

static SOFTLIMIT: Program = program(
    " [-a allbytes] [-c corebytes] [-d databytes] [-f filebytes] [-l lockbytes] [-m membytes] \
     [-o openfiles] [-p processes] [-r residentbytes] [-s stackbytes] [-t cpusecs] child",
    &limits::OPTIONS,
);

/// Limits are set in the order of chpst. A number that is none is answered
/// with the usage of chpst.
pub(crate) fn softlimit<'a>(arguments: &'a [&'static CStr]) -> Read<'a> {
    let mut order = Order::default();
    let mut options = SOFTLIMIT.options(arguments);
    while let Some((letter, value)) = options.read().map_err(|said| Misuse(said, &SOFTLIMIT))? {
        let bound = match value {
            b"=" => Some(Bound::Hard),
            number => Bound::parse_signed(number),
        };
        order.limit(letter, bound.ok_or_else(|| Misuse::of(&CHPST))?);
    }
    order.program = child(Some(options.operands()), &SOFTLIMIT)?;
    Ok(order)
}

/// The first operand, and the program to become after it.
fn operand<'a>(
    operands: Option<&'a [&'static CStr]>,
    program: &'static Program,
) -> Result<(&'a [u8], &'a [&'static CStr]), Misuse> {
    let [first, rest @ ..] = operands.unwrap_or_default() else {
        return Err(Misuse::of(program));
    };
    Ok((first.to_bytes(), child(Some(rest), program)?))
}

/// The program to become.
fn child<'a>(
    operands: Option<&'a [&'static CStr]>,
    program: &'static Program,
) -> Result<&'a [&'static CStr], Misuse> {
    operands
        .filter(|child| !child.is_empty())
        .ok_or_else(|| Misuse::of(program))
}
