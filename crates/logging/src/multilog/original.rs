//! A model of 0.76 for tests: processes single bytes and makes every write.

use crate::batch::HEAD;

/// The model. Its speed does not matter.
pub(crate) struct Original<'a> {
    /// The text before each line.
    stamp: &'a [u8],
    /// Whether a line with this head is selected.
    selects: &'a dyn Fn(&[u8]) -> bool,
    /// The maximum size of a file, in bytes.
    size: usize,
    /// The written files; the last is open.
    files: Vec<Vec<u8>>,
    buffer: Vec<u8>,
    /// The head of the present line.
    line: Vec<u8>,
    position: ModelPosition,
}

#[derive(Clone, Copy, PartialEq)]
enum ModelPosition {
    Start,
    Head,
    Rest { selected: bool },
}

impl<'a> Original<'a> {
    /// A model with one empty file.
    pub(crate) fn new(stamp: &'a [u8], selects: &'a dyn Fn(&[u8]) -> bool, size: usize) -> Self {
        Original {
            stamp,
            selects,
            size,
            files: vec![Vec::new()],
            buffer: Vec::new(),
            line: Vec::new(),
            position: ModelPosition::Start,
        }
    }

    /// The files for an input of which each read returns up to `chunk` bytes.
    pub(crate) fn run(mut self, input: &[u8], chunk: usize) -> Vec<Vec<u8>> {
        for read in input.chunks(chunk).flat_map(|chunk| chunk.chunks(1024)) {
            self.read(read);
        }
        if self.position != ModelPosition::Start {
            self.read(b"\n");
        }
        self.files
    }

    fn read(&mut self, read: &[u8]) {
        for &byte in read {
            if self.position == ModelPosition::Start {
                self.line = self.stamp.to_owned();
                self.position = ModelPosition::Head;
            }
            match (self.position, byte) {
                (ModelPosition::Rest { selected }, _) => {
                    if selected {
                        self.put(&[byte]);
                    }
                    if byte == b'\n' {
                        self.position = ModelPosition::Start;
                    }
                }
                (_, b'\n') => {
                    if self.put_head() {
                        self.put(b"\n");
                    }
                    self.position = ModelPosition::Start;
                }
                _ => {
                    self.line.push(byte);
                    if self.line.len() == HEAD {
                        let selected = self.put_head();
                        self.position = ModelPosition::Rest { selected };
                    }
                }
            }
        }
        let buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer);
    }

    /// Puts the head of the line if the line is selected.
    fn put_head(&mut self) -> bool {
        let line = std::mem::take(&mut self.line);
        let selected = (self.selects)(&line);
        if selected {
            self.put(&line);
        }
        selected
    }

    fn put(&mut self, bytes: &[u8]) {
        if bytes.len() > 512 - self.buffer.len() {
            let buffer = std::mem::take(&mut self.buffer);
            self.write(&buffer);
            if bytes.len() > 512 {
                self.write(bytes);
                return;
            }
        }
        self.buffer.extend(bytes);
    }

    fn write(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.files.last().is_none_or(|file| file.len() >= self.size) {
                self.files.push(Vec::new());
            }
            let file = self.files.last_mut().unwrap();
            let mut length = bytes.len().min(self.size - file.len());
            if file.len() + length >= self.size - 2000 {
                let newline = bytes[..length].iter().rposition(|&byte| byte == b'\n');
                length = newline.map_or(length, |newline| newline + 1);
            }
            file.extend(&bytes[..length]);
            if file.len() >= self.size - 2000 && file.ends_with(b"\n") {
                self.files.push(Vec::new());
            }
            bytes = &bytes[length..];
        }
    }
}
