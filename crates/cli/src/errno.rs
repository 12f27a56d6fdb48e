//! 0.76's own errno texts, which differ from the C library's and Rust's.

use nix::errno::Errno;
use unix::rare_error::RareError;

/// The text of an errno, as after the last colon of a message.
pub fn errno_message(error: Errno) -> &'static str {
    match error {
        // Errno 0, without a failure. nix knows all other numbers with which
        // Linux system calls fail.
        Errno::UnknownErrno => "no error",
        Errno::EINTR => "interrupted system call",
        Errno::ENOMEM => "out of memory",
        Errno::ENOENT => "file does not exist",
        Errno::ETXTBSY => "text busy",
        Errno::EIO => "input/output error",
        Errno::EEXIST => "file already exists",
        Errno::ETIMEDOUT => "timed out",
        Errno::EINPROGRESS => "operation in progress",
        Errno::EAGAIN => "temporary failure",
        Errno::EPIPE => "broken pipe",
        Errno::EPERM => "permission denied",
        Errno::EACCES => "access denied",
        Errno::ENXIO => "device not configured",
        Errno::EPROTO => "protocol error",
        Errno::EISDIR => "is a directory",
        Errno::ECONNREFUSED => "connection refused",
        Errno::ENOTDIR => "not a directory",
        Errno::ESRCH => "no such process",
        Errno::E2BIG => "argument list too long",
        Errno::ENOEXEC => "exec format error",
        Errno::EBADF => "file descriptor not open",
        Errno::ECHILD => "no child processes",
        Errno::EDEADLK => "operation would cause deadlock",
        Errno::EFAULT => "bad address",
        Errno::ENOTBLK => "not a block device",
        Errno::EBUSY => "device busy",
        Errno::EXDEV => "cross-device link",
        Errno::ENODEV => "device does not support operation",
        Errno::EINVAL => "invalid argument",
        Errno::ENFILE => "system cannot open more files",
        Errno::EMFILE => "process cannot open more files",
        Errno::ENOTTY => "not a tty",
        Errno::EFBIG => "file too big",
        Errno::ENOSPC => "out of disk space",
        Errno::ESPIPE => "unseekable descriptor",
        Errno::EROFS => "read-only file system",
        Errno::EMLINK => "too many links",
        Errno::EDOM => "input out of range",
        Errno::ERANGE => "output out of range",
        Errno::EALREADY => "operation already in progress",
        Errno::ENOTSOCK => "not a socket",
        Errno::EDESTADDRREQ => "destination address required",
        Errno::EMSGSIZE => "message too long",
        Errno::EPROTOTYPE => "incorrect protocol type",
        Errno::ENOPROTOOPT => "protocol not available",
        Errno::EPROTONOSUPPORT => "protocol not supported",
        Errno::ESOCKTNOSUPPORT => "socket type not supported",
        Errno::EOPNOTSUPP => "operation not supported",
        Errno::EPFNOSUPPORT => "protocol family not supported",
        Errno::EAFNOSUPPORT => "address family not supported",
        Errno::EADDRINUSE => "address already used",
        Errno::EADDRNOTAVAIL => "address not available",
        Errno::ENETDOWN => "network down",
        Errno::ENETUNREACH => "network unreachable",
        Errno::ENETRESET => "network reset",
        Errno::ECONNABORTED => "connection aborted",
        Errno::ECONNRESET => "connection reset",
        Errno::ENOBUFS => "out of buffer space",
        Errno::EISCONN => "already connected",
        Errno::ENOTCONN => "not connected",
        Errno::ESHUTDOWN => "socket shut down",
        Errno::ETOOMANYREFS => "too many references",
        Errno::ELOOP => "symbolic link loop",
        Errno::ENAMETOOLONG => "file name too long",
        Errno::EHOSTDOWN => "host down",
        Errno::EHOSTUNREACH => "host unreachable",
        Errno::ENOTEMPTY => "directory not empty",
        Errno::EUSERS => "too many users",
        Errno::EDQUOT => "disk quota exceeded",
        Errno::ESTALE => "stale NFS file handle",
        Errno::EREMOTE => "too many levels of remote in path",
        Errno::ENOLCK => "no locks available",
        Errno::ENOSYS => "system call not available",
        Errno::ENOMSG => "no message of desired type",
        Errno::EBADMSG => "bad message type",
        Errno::EIDRM => "identifier removed",
        _ => RareError::of(error).map_or("unknown error", rare_message),
    }
}

fn rare_message(error: RareError) -> &'static str {
    match error {
        RareError::Nostr => "not a stream device",
        RareError::Time => "timer expired",
        RareError::Nosr => "out of stream resources",
        RareError::Nonet => "machine not on network",
        RareError::Adv => "advertise error",
        RareError::Srmnt => "srmount error",
        RareError::Comm => "communication error",
        RareError::Nolink => "link severed",
        RareError::Multihop => "multihop attempted",
        RareError::Remchg => "remote address changed",
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The errors of Linux that 0.76 does not know.
    const WITHOUT_TEXT: &[Errno] = &[
        Errno::ECHRNG,
        Errno::EL2NSYNC,
        Errno::EL3HLT,
        Errno::EL3RST,
        Errno::ELNRNG,
        Errno::EUNATCH,
        Errno::ENOCSI,
        Errno::EL2HLT,
        Errno::EBADE,
        Errno::EBADR,
        Errno::EXFULL,
        Errno::ENOANO,
        Errno::EBADRQC,
        Errno::EBADSLT,
        Errno::EBFONT,
        Errno::ENODATA,
        Errno::ENOPKG,
        Errno::EDOTDOT,
        Errno::EOVERFLOW,
        Errno::ENOTUNIQ,
        Errno::EBADFD,
        Errno::ELIBACC,
        Errno::ELIBBAD,
        Errno::ELIBSCN,
        Errno::ELIBMAX,
        Errno::ELIBEXEC,
        Errno::EILSEQ,
        Errno::ERESTART,
        Errno::ESTRPIPE,
        Errno::EUCLEAN,
        Errno::ENOTNAM,
        Errno::ENAVAIL,
        Errno::EISNAM,
        Errno::EREMOTEIO,
        Errno::ENOMEDIUM,
        Errno::EMEDIUMTYPE,
        Errno::ECANCELED,
        Errno::ENOKEY,
        Errno::EKEYEXPIRED,
        Errno::EKEYREVOKED,
        Errno::EKEYREJECTED,
        Errno::EOWNERDEAD,
        Errno::ENOTRECOVERABLE,
        Errno::ERFKILL,
        Errno::EHWPOISON,
    ];

    #[test]
    fn each_errno_of_076_has_a_text_of_its_own() {
        let known = |errno: &Errno| *errno != Errno::UnknownErrno;
        let (without, with): (Vec<_>, Vec<_>) = (1..2000)
            .map(Errno::from_raw)
            .filter(known)
            .partition(|&errno| errno_message(errno) == "unknown error");
        let without: BTreeSet<_> = without.into_iter().map(|errno| errno as i32).collect();
        let expected: BTreeSet<_> = WITHOUT_TEXT.iter().map(|&errno| errno as i32).collect();
        assert_eq!(without, expected);
        let texts: BTreeSet<_> = with.iter().map(|&errno| errno_message(errno)).collect();
        assert_eq!(texts.len(), with.len());
        assert_eq!(errno_message(Errno::from_raw(0)), "no error");
    }
}
