//! The terminal of `svps -w`: alternate screen, keys, and output that never blocks.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags};
use nix::sys::termios::{
    LocalFlags, SetArg, SpecialCharacterIndices, Termios, tcgetattr, tcsetattr,
};
use nix::unistd::{read, write};
use unix::file::reopen;
use unix::poll::wait_for_events;
use unix::stdio::{STDIN, STDOUT, window_size};

/// Alternate screen, no cursor, no wrapping of long lines.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J";
/// The reverse, after the end of an unfinished escape sequence.
const LEAVE: &str = "\x18\x1b[0m\x1b[?7h\x1b[?25h\x1b[?1049l";

/// The time that the last output may take on a terminal that does not accept it.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

/// The size of a terminal that does not report it.
const DEFAULT_SIZE: (usize, usize) = (80, 24);

pub(crate) struct Terminal {
    /// A description of its own, non-blocking, so that other programs on the
    /// terminal stay blocking. None: not available.
    output: Option<OwnedFd>,
    /// The settings of standard input, if it is a terminal.
    saved: Option<Termios>,
    /// The output that the terminal has not accepted yet.
    pending: Vec<u8>,
}

impl Terminal {
    /// The terminal of standard output. None if that is not a terminal.
    pub(crate) fn open() -> Option<Self> {
        window_size(STDOUT)?;
        let flags = OFlag::O_WRONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        Some(Terminal {
            output: reopen(STDOUT, flags).ok(),
            saved: tcgetattr(STDIN).ok(),
            pending: Vec::new(),
        })
    }

    /// Enters the alternate screen, and reads keys without echo and line ends.
    /// Interrupt and suspend characters keep their effect.
    pub(crate) fn enter(&mut self) {
        if let Some(saved) = &self.saved {
            let mut raw = saved.clone();
            raw.local_flags -= LocalFlags::ICANON | LocalFlags::ECHO;
            for (index, value) in [
                (SpecialCharacterIndices::VMIN, 0),
                (SpecialCharacterIndices::VTIME, 0),
            ] {
                if let Some(character) = raw.control_chars.get_mut(index as usize) {
                    *character = value;
                }
            }
            let _ = tcsetattr(STDIN, SetArg::TCSANOW, &raw);
        }
        self.pending = ENTER.as_bytes().to_vec();
    }

    /// Restores the screen and the settings.
    pub(crate) fn leave(&mut self) {
        self.pending.extend_from_slice(LEAVE.as_bytes());
        let deadline = Instant::now() + LAST_OUTPUT;
        while !self.is_flushed() && Instant::now() < deadline {
            let mut output = [PollFd::new(self.descriptor(), PollFlags::POLLOUT)];
            wait_for_events(&mut output, Some(deadline));
            if self.flush().is_err() {
                break;
            }
        }
        if let Some(saved) = &self.saved {
            let _ = tcsetattr(STDIN, SetArg::TCSANOW, saved);
        }
    }

    /// Columns and rows.
    pub(crate) fn size() -> (usize, usize) {
        let (columns, rows) = window_size(STDOUT).unwrap_or((0, 0));
        let or = |value, default| if value == 0 { default } else { value };
        (or(columns, DEFAULT_SIZE.0), or(rows, DEFAULT_SIZE.1))
    }

    /// Whether the terminal has accepted all output.
    pub(crate) fn is_flushed(&self) -> bool {
        self.pending.is_empty()
    }

    /// Whether an update may be added: one write then shows it, and the first one
    /// with the alternate screen.
    pub(crate) fn accepts_update(&self) -> bool {
        self.is_flushed() || self.pending == ENTER.as_bytes()
    }

    /// Adds output, which [`Terminal::flush`] writes.
    pub(crate) fn push(&mut self, text: &str) {
        self.pending.extend_from_slice(text.as_bytes());
    }

    /// Writes as much as the terminal accepts, in one call if it accepts all. Errors:
    /// as write(2), such as EIO after a hangup.
    pub(crate) fn flush(&mut self) -> Result<(), Errno> {
        if self.pending.is_empty() {
            return Ok(());
        }
        match write(self.descriptor(), &self.pending) {
            Ok(written) => {
                self.pending.drain(..written);
                Ok(())
            }
            Err(Errno::EAGAIN | Errno::EINTR) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The descriptor of the output.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        self.output.as_ref().map_or(STDOUT, AsFd::as_fd)
    }

    /// The descriptor of the keys, if standard input is a terminal.
    pub(crate) fn keys(&self) -> Option<BorrowedFd<'static>> {
        self.saved.as_ref().map(|_| STDIN)
    }

    /// The keys since the last call. None: the terminal has gone.
    pub(crate) fn read_keys() -> Option<Vec<u8>> {
        let mut bytes = [0; 256];
        match read(STDIN, &mut bytes) {
            Ok(length) => Some(bytes.get(..length).unwrap_or_default().to_vec()),
            Err(Errno::EINTR | Errno::EAGAIN) => Some(Vec::new()),
            Err(_) => None,
        }
    }
}
