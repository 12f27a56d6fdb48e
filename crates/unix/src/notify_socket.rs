//! The socket of systemd's notification protocol, `sd_notify`(3).

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixDatagram;

use libc::{c_int, c_void, socklen_t};
use nix::errno::Errno;
use nix::unistd::Uid;

/// A datagram socket in the abstract namespace, which needs no directory, and no
/// permission of the sender.
#[derive(Debug)]
pub struct NotifySocket(UnixDatagram);

/// A datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The user of the sender, as the kernel reports it.
    pub sender: Uid,
    /// The text: lines `KEY=value`.
    pub text: Vec<u8>,
}

/// The size limit of a datagram, in bytes, as of systemd.
const MAX_LENGTH: usize = 4096;

/// The space for the control message with the credentials, and no more: the kernel
/// closes the descriptors of a datagram that find no space.
#[repr(C)]
struct CredentialsMessage {
    header: libc::cmsghdr,
    credentials: libc::ucred,
}

impl NotifySocket {
    /// Makes the socket under an unused name. Errors: as socket(2), bind(2) and
    /// setsockopt(2).
    pub fn new() -> Result<Self, Errno> {
        let socket = UnixDatagram::unbound().map_err(|error| crate::errno(&error))?;
        let enabled: c_int = 1;
        // SAFETY: the option is an int of this length.
        let result = unsafe {
            libc::setsockopt(
                socket.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PASSCRED,
                (&raw const enabled).cast(),
                length_of::<c_int>(),
            )
        };
        Errno::result(result)?;
        // An address without a name: the kernel chooses one.
        let family = libc::sa_family_t::try_from(libc::AF_UNIX).map_err(|_| Errno::EAFNOSUPPORT)?;
        let address = libc::sockaddr {
            sa_family: family,
            sa_data: [0; 14],
        };
        let length = length_of::<libc::sa_family_t>();
        // SAFETY: the kernel reads only the first `length` bytes of the address.
        Errno::result(unsafe { libc::bind(socket.as_raw_fd(), &raw const address, length) })?;
        Ok(NotifySocket(socket))
    }

    /// The name for the variable `NOTIFY_SOCKET`: `@` and the abstract name.
    /// Errors: as getsockname(2).
    pub fn name(&self) -> Result<Vec<u8>, Errno> {
        let address = self.0.local_addr().map_err(|error| crate::errno(&error))?;
        let name = address.as_abstract_name().ok_or(Errno::EINVAL)?;
        Ok([b"@", name].concat())
    }

    /// Receives a datagram, without blocking. None: the datagram is longer than
    /// 4096 bytes, or without credentials. Descriptors in it are closed. Errors: as
    /// recvmsg(2), EAGAIN without a datagram.
    pub fn receive(&self) -> Result<Option<Notification>, Errno> {
        let mut text = vec![0; MAX_LENGTH];
        let mut part = libc::iovec {
            iov_base: text.as_mut_ptr().cast(),
            iov_len: text.len(),
        };
        let mut control = MaybeUninit::<CredentialsMessage>::zeroed();
        // SAFETY: all zeroes is a valid msghdr.
        let mut message: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = control.as_mut_ptr().cast::<c_void>();
        message.msg_controllen = size_of::<CredentialsMessage>() as _;
        let flags = libc::MSG_CMSG_CLOEXEC | libc::MSG_DONTWAIT;
        // SAFETY: the message describes the two buffers above with their lengths.
        let length = unsafe { libc::recvmsg(self.0.as_raw_fd(), &raw mut message, flags) };
        let length = usize::try_from(Errno::result(length)?).unwrap_or_default();
        text.truncate(length);
        // SAFETY: the fields are integers, for which the zeros are valid as well.
        let control = unsafe { control.assume_init() };
        let has_credentials = control.header.cmsg_level == libc::SOL_SOCKET
            && control.header.cmsg_type == libc::SCM_CREDENTIALS;
        let is_whole = message.msg_flags & libc::MSG_TRUNC == 0;
        Ok((has_credentials && is_whole).then(|| Notification {
            sender: Uid::from_raw(control.credentials.uid),
            text,
        }))
    }
}

fn length_of<T>() -> socklen_t {
    socklen_t::try_from(size_of::<T>()).unwrap_or(0)
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
