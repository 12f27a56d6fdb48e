//! Compressed old files, which a processor such as `gzip` has left.

use std::ffi::{CStr, OsStr};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::unistd::{AccessFlags, access};
use unix::exec::PreparedExec;
use unix::filter::Filter;
use unix::start;

use crate::held_file::to_u64;

/// The bytes at the start of a file that name its format.
pub(crate) const MAGIC: usize = 10;
/// The search path without PATH in the environment.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";

/// A program that uncompresses its standard input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

/// The error that a tool is not installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MissingTool(pub(crate) &'static str);

impl Tool {
    /// The tool for a file that starts with these bytes; None if it is not
    /// compressed. The names of old files may end in any suffix.
    pub(crate) fn of_file(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, 8, ..] => Some(Tool::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Tool::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Tool::Xz),
            [b'B', b'Z', b'h', b'1'..=b'9', block @ ..]
                if block.starts_with(b"1AY&SY")
                    || block.starts_with(b"\x17\x72\x45\x38\x50\x90") =>
            {
                Some(Tool::Bzip2)
            }
            _ => None,
        }
    }

    fn name(self) -> (&'static str, &'static CStr) {
        match self {
            Tool::Gzip => ("gzip", c"gzip"),
            Tool::Zstd => ("zstd", c"zstd"),
            Tool::Xz => ("xz", c"xz"),
            Tool::Bzip2 => ("bzip2", c"bzip2"),
        }
    }

    /// Errors: `Unsupported` with [`MissingTool`], if PATH has no such program.
    pub(crate) fn check(self) -> io::Result<()> {
        let (name, _) = self.name();
        let path = start::variable(b"PATH").unwrap_or(DEFAULT_PATH);
        let is_there = |directory: &[u8]| {
            let program = Path::new(OsStr::from_bytes(directory)).join(name);
            access(&program, AccessFlags::X_OK).is_ok()
        };
        if path.split(|byte| *byte == b':').any(is_there) {
            return Ok(());
        }
        Err(io::Error::new(
            io::ErrorKind::Unsupported,
            MissingTool(name),
        ))
    }

    fn start(self, mut file: &File) -> io::Result<Filter> {
        file.rewind()?;
        let (_, name) = self.name();
        let path = start::variable(b"PATH");
        let environment = start::environment();
        let program = PreparedExec::search(path, &[name, c"-dc"], &environment);
        Ok(Filter::start(program, file.as_fd())?)
    }
}

/// The uncompressed bytes of a file, from the first one on.
#[derive(Debug)]
pub(crate) struct Uncompressed {
    file: File,
    tool: Tool,
    running: Option<Filter>,
    /// The number of bytes that were read from the tool.
    offset: u64,
    /// Whether the tool has failed: the file is damaged.
    is_damaged: bool,
}

impl Uncompressed {
    pub(crate) fn new(file: File, tool: Tool) -> Self {
        Uncompressed {
            file,
            tool,
            running: None,
            offset: 0,
            is_damaged: false,
        }
    }

    pub(crate) fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// Whether the tool has not been started.
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_none()
    }

    /// Reads at an offset; 0 at the end. Reads of ascending offsets are fast: any
    /// other read starts the tool again. Errors: as fork(2) and read(2).
    pub(crate) fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        if self.running.is_none() || offset < self.offset {
            self.running = None;
            self.running = Some(self.tool.start(&self.file)?);
            self.offset = 0;
        }
        while self.offset < offset {
            let mut skipped = [0; 4096];
            let length = usize::try_from(offset - self.offset).unwrap_or(skipped.len());
            let space = skipped.len().min(length);
            if self.read(skipped.get_mut(..space).unwrap_or_default())? == 0 {
                return Ok(0);
            }
        }
        self.read(buffer)
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(running) = &mut self.running else {
            return Ok(0);
        };
        let length = running.read(buffer)?;
        self.offset += to_u64(length);
        if length == 0 && !buffer.is_empty() {
            // A finished program has no status any more.
            let status = running.finish(true);
            self.is_damaged |= status.is_some_and(|status| status.code() != Some(0));
        }
        Ok(length)
    }
}

impl fmt::Display for MissingTool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not installed", self.0)
    }
}

impl std::error::Error for MissingTool {}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    /// A file of lines, compressed by a command; None without the command.
    fn compressed(command: &str, text: &[u8]) -> Option<File> {
        let (mut input, output) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        input.write_all(text).unwrap();
        input.rewind().unwrap();
        let status = Command::new(command)
            .arg("-c")
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(output.try_clone().unwrap()))
            .status()
            .ok()?;
        // qemu's emulation of Linux reports a missing command so.
        (status.code() != Some(127)).then_some(output)
    }

    fn tool_of(mut file: &File) -> Option<Tool> {
        let mut start = [0; MAGIC];
        file.rewind().unwrap();
        let length = file.read(&mut start).unwrap();
        Tool::of_file(&start[..length])
    }

    #[test]
    fn files_of_all_tools_are_uncompressed() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
        for command in ["gzip", "zstd", "xz", "bzip2"] {
            for text in [&text[..], b""] {
                let Some(file) = compressed(command, text) else {
                    // The tool is not installed.
                    continue;
                };
                let tool = tool_of(&file).unwrap();
                assert_eq!(tool.name().0, command);
                tool.check().unwrap();
                let mut reader = Uncompressed::new(file, tool);
                let mut buffer = vec![0; 1000];
                for offset in [0, 1000, 5000, 4000, 799_999, 800_000] {
                    let length = reader.read_at(&mut buffer, offset).unwrap();
                    let rest = text
                        .get(usize::try_from(offset).unwrap()..)
                        .unwrap_or_default();
                    assert_eq!(buffer[..length], rest[..length]);
                    assert_eq!(length == 0, rest.is_empty());
                }
                assert!(!reader.is_damaged());
            }
        }
    }

    #[test]
    fn cut_file_is_damaged() {
        let text: Vec<u8> = (0..20_000_u32).flat_map(u32::to_le_bytes).collect();
        let Some(file) = compressed("gzip", &text) else {
            return;
        };
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        let mut reader = Uncompressed::new(file, Tool::Gzip);
        let (mut offset, mut buffer) = (0, vec![0; 1000]);
        loop {
            match reader.read_at(&mut buffer, offset).unwrap() {
                0 => break,
                length => offset += to_u64(length),
            }
        }
        assert!(reader.is_damaged());
    }

    #[test]
    fn text_is_not_compressed() {
        for text in [
            &b""[..],
            b"@400000",
            b"BZh9 is no block",
            b"\x1f\x8b",
            b"\xfd7z",
        ] {
            assert_eq!(Tool::of_file(text), None);
        }
    }
}
