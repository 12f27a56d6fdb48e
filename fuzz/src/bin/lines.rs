//! Lines from reads of any size, and their split into files, against a model of
//! 0.76: reads of 1024 bytes, processed one byte at a time, and a buffer of 512
//! bytes.
#![no_main]

use daemontools_core::label::Label;
use libfuzzer_sys::fuzz_target;
use logging::lines::Lines;
use logging::rotation::Rotation;

/// The files of a log, and the output buffer.
struct Files {
    size: usize,
    files: Vec<Vec<u8>>,
    buffer: Vec<u8>,
}

impl Files {
    fn last(&mut self) -> &mut Vec<u8> {
        self.files.last_mut().unwrap()
    }

    fn close(&mut self) {
        self.files.push(Vec::new());
    }

    fn put(&mut self, bytes: &[u8]) {
        if self.buffer.len() + bytes.len() > 512 {
            self.flush();
        }
        self.buffer.extend(bytes);
        if self.buffer.len() > 512 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        let mut rest = &buffer[..];
        while !rest.is_empty() {
            let size = self.size;
            if self.last().len() >= size {
                self.close();
            }
            let mut length = rest.len().min(size - self.last().len());
            if self.last().len() + length + 2000 >= size {
                for end in (1..=length).rev() {
                    if rest[end - 1] == b'\n' {
                        length = end;
                        break;
                    }
                }
            }
            self.last().extend(&rest[..length]);
            rest = &rest[length..];
            if self.last().len() + 2000 >= size && self.last().ends_with(b"\n") {
                self.close();
            }
        }
    }
}

/// The model: an unfinished line is held up to 1000 bytes.
struct Naive {
    files: Files,
    held: Vec<u8>,
    long: bool,
}

impl Naive {
    fn read(&mut self, bytes: &[u8]) {
        for read in bytes.chunks(1024) {
            // A line is put as a whole at its end, or at the end of a read if
            // it has 1000 bytes.
            for &byte in read {
                if self.long {
                    self.files.put(&[byte]);
                    self.long = byte != b'\n';
                } else {
                    self.held.push(byte);
                    if byte == b'\n' {
                        self.line();
                    }
                }
            }
            if self.held.len() >= 1000 {
                self.line();
                self.long = true;
            }
            self.files.flush();
        }
    }

    fn line(&mut self) {
        let held = std::mem::take(&mut self.held);
        let text = held.strip_suffix(b"\n").unwrap_or(&held);
        let head = text.len().min(1000);
        self.files.put(&held[..head]);
        for byte in &held[head..] {
            self.files.put(&[*byte]);
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    // The size and the length of the file. Then, for each piece: its length,
    // and whether a line and a read end after it.
    let [size, written, pieces @ ..] = bytes else {
        return;
    };
    let size = 4096 + usize::from(*size);
    let written = usize::from(*written) * 17 % size;
    let mut reads = vec![Vec::new()];
    let mut total = 0;
    for piece in pieces.chunks_exact(2) {
        let length = usize::from(piece[0]) * usize::from(1 + piece[1] % 8 * 2);
        total += length;
        if total > 15_000 {
            break;
        }
        let read = reads.last_mut().unwrap();
        read.extend(std::iter::repeat_n(b'x', length));
        if piece[1] & 16 == 0 {
            read.push(b'\n');
        }
        if piece[1] & 32 == 0 {
            reads.push(Vec::new());
        }
    }
    reads.retain(|read| !read.is_empty());

    let mut naive = Naive {
        files: Files {
            size,
            files: vec![vec![b'o'; written]],
            buffer: Vec::new(),
        },
        held: Vec::new(),
        long: false,
    };
    let mut lines = Lines::new(false);
    let mut rotation = Rotation::new(size as u64, 2000, written as u64);
    let mut files = vec![vec![b'o'; written]];
    let mut points = Vec::new();
    let mut take = |files: &mut Vec<Vec<u8>>, batch: &logging::batch::Batch<'_>| {
        points.clear();
        rotation.split_points(batch, &mut points);
        let mut start = 0;
        for &point in &points {
            files.last_mut().unwrap().extend(&batch.text[start..point]);
            files.push(Vec::new());
            start = point;
        }
        files.last_mut().unwrap().extend(&batch.text[start..]);
    };
    for read in &reads {
        naive.read(read);
        lines.read_buffer()[..read.len()].copy_from_slice(read);
        take(&mut files, &lines.batch(read.len(), Label::now));
        assert_eq!(files.len(), naive.files.files.len());
        assert_eq!(files.last(), naive.files.files.last());
        assert_eq!(
            lines.is_at_line_start(),
            naive.held.is_empty() && !naive.long
        );
    }
    if let Some(batch) = lines.finish(Label::now) {
        take(&mut files, &batch);
        naive.read(b"\n");
    }
    assert!(files == naive.files.files);

    // With stamps, each line gets one, and the rest is unchanged.
    let mut lines = Lines::new(true);
    let mut stamped = Vec::new();
    for read in &reads {
        lines.read_buffer()[..read.len()].copy_from_slice(read);
        stamped.extend(lines.batch(read.len(), Label::now).text);
    }
    if let Some(batch) = lines.finish(Label::now) {
        stamped.extend(batch.text);
    }
    let mut plain = reads.concat();
    if !plain.is_empty() && !plain.ends_with(b"\n") {
        plain.push(b'\n');
    }
    let unstamped: Vec<u8> = stamped
        .split_inclusive(|&byte| byte == b'\n')
        .flat_map(|line| {
            assert!(line[0] == b'@' && line[25] == b' ');
            line[26..].to_owned()
        })
        .collect();
    assert!(unstamped == plain);
});
