//! `vm-disk SOCKET IMAGE SECTOR SEED LOADING`: a disk with a volatile cache, for qemu, by the
//! protocol of NBD on a Unix socket.
//!
//! A write is safe after a flush that came in after its reply, or if it has the flag
//! FUA. The end of a connection is a loss of power: of the unsafe writes, a random
//! part reaches the image, in one of several ways, down to single sectors of SECTOR
//! bytes. The next connection sees the image. Each cut prints a line.
//!
//! While the file LOADING exists, the disk counts flushes, and usually does not answer a
//! random one and all later ones. Writes are still answered, and gather in the cache until
//! the machine is killed: otherwise most cuts would find few unsafe writes.
//!
//! The image holds the safe writes. IMAGE.now holds all writes, as the machine reads them.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use daemontools_vm::Dice;

/// The unit in which sectors are counted.
const UNIT: u64 = 512;
/// The longest flush. A real disk takes about as long.
const FLUSH_MICROSECONDS: u64 = 8000;

const OPTION_MAGIC: &[u8; 8] = b"IHAVEOPT";
const REQUEST_MAGIC: u32 = 0x2560_9513;
const REPLY_MAGIC: u32 = 0x6744_6698;
/// Flags of the handshake: fixed newstyle, no zeroes.
const HANDSHAKE: u16 = 3;
/// Flags of the export: flags are valid, flush, FUA.
const EXPORT: u16 = 1 | 4 | 8;
const FUA: u16 = 1;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, socket, image, sector, seed, loading] = &arguments[..] else {
        eprintln!("usage: vm-disk socket image sector seed loading");
        std::process::exit(100);
    };
    let mut disk = Cache::open(image, sector.parse().unwrap(), seed.parse().unwrap());
    disk.loading = loading.into();
    let _ = fs::remove_file(socket);
    let listener = UnixListener::bind(socket).unwrap();
    for number in 0.. {
        let (stream, _) = listener.accept().unwrap();
        match serve(&mut disk, stream) {
            Ok(()) => {}
            Err(error) => println!("connection: {error}"),
        }
        println!("cut {number}: {}", disk.cut());
    }
}

/// A write that is not safe.
struct Unsafe {
    /// The number of the write.
    serial: u64,
    /// The number of the batch of requests in which it came.
    batch: u64,
    offset: u64,
    bytes: Vec<u8>,
}

/// The image, and the writes that are not safe.
struct Cache {
    image: File,
    now: File,
    size: u64,
    sector: u64,
    dice: Dice,
    serial: u64,
    batch: u64,
    flushes: u64,
    /// The file that exists while the machine is under load.
    loading: PathBuf,
    /// The number of flushes under load until the disk answers none; None: for ever.
    patience: Option<u64>,
    is_stuck: bool,
    pending: Vec<Unsafe>,
    /// For each unit, the number of the last write to it that reached the image.
    reached: HashMap<u64, u64>,
}

impl Cache {
    fn open(image: &str, sector: u64, seed: u64) -> Self {
        let now = format!("{image}.now");
        let copied = Command::new("cp")
            .args(["--sparse=always", image, &now])
            .status();
        assert!(copied.unwrap().success(), "cp {image} {now}");
        let open = |name: &str| {
            OpenOptions::new()
                .read(true)
                .write(true)
                .open(name)
                .unwrap()
        };
        let image = open(image);
        Cache {
            size: image.metadata().unwrap().len(),
            image,
            now: open(&now),
            sector,
            dice: Dice::new(seed),
            serial: 0,
            batch: 0,
            flushes: 0,
            loading: PathBuf::new(),
            patience: None,
            is_stuck: false,
            pending: Vec::new(),
            reached: HashMap::new(),
        }
    }

    fn write(&mut self, offset: u64, bytes: Vec<u8>, is_safe: bool) {
        self.now.write_all_at(&bytes, offset).unwrap();
        self.serial += 1;
        let write = Unsafe {
            serial: self.serial,
            batch: self.batch,
            offset,
            bytes,
        };
        if is_safe {
            self.persist(&write, |_| true);
        } else {
            self.pending.push(write);
        }
    }

    /// Starts a new life of the machine.
    fn start(&mut self) {
        self.is_stuck = false;
        self.patience = (self.dice.below(3) > 0).then(|| self.dice.below(60));
    }

    /// Whether the disk does not answer this flush.
    fn refuses(&mut self) -> bool {
        if !self.is_stuck && self.loading.exists() {
            self.is_stuck = self.patience == Some(0);
            self.patience = self.patience.map(|left| left.saturating_sub(1));
        }
        self.is_stuck
    }

    /// Makes the writes of earlier batches safe. The machine may not yet have had
    /// the replies to those of this batch when it sent the flush.
    fn flush(&mut self) {
        self.flushes += 1;
        let batch = self.batch;
        let (safe, pending) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition::<Vec<_>, _>(|write| write.batch < batch);
        self.pending = pending;
        for write in &safe {
            self.persist(write, |_| true);
        }
        if self.pending.is_empty() {
            self.reached.clear();
        }
    }

    /// Copies the units of a write for which `keep` holds to the image, unless a later
    /// write has reached the image there.
    fn persist(&mut self, write: &Unsafe, mut keep: impl FnMut(u64) -> bool) {
        let size = usize::try_from(UNIT).unwrap();
        for (number, bytes) in (write.offset / UNIT..).zip(write.bytes.chunks(size)) {
            let reached = self.reached.entry(number).or_default();
            if *reached < write.serial && keep(number) {
                *reached = write.serial;
                self.image.write_all_at(bytes, number * UNIT).unwrap();
            }
        }
    }

    /// Loses power. Returns a description.
    fn cut(&mut self) -> String {
        let pending = std::mem::take(&mut self.pending);
        let units: usize = pending.iter().map(|write| write.bytes.len() / 512).sum();
        let mut dice = self.dice.clone();
        self.dice.roll();
        let way = dice.below(6);
        let chance = [10, 50, 90][usize::try_from(dice.below(3)).unwrap()];
        let end = dice.below(pending.len() as u64 + 1);
        let per_sector = self.sector / UNIT;
        let mut kept = 0;
        for (order, write) in (0..).zip(&pending) {
            let whole = dice.below(100) < chance;
            let mut sectors = HashMap::new();
            let mut last = |unit| {
                *sectors
                    .entry(unit / per_sector)
                    .or_insert_with(|| dice.below(100) < chance)
            };
            self.persist(write, |unit| {
                let keep = match way {
                    0 => false,
                    1 => true,
                    2 => whole,
                    3 => last(unit),
                    4 => order < end || order == end && last(unit),
                    _ => order >= end && last(unit),
                };
                kept += usize::from(keep);
                keep
            });
        }
        self.reached.clear();
        for write in &pending {
            let mut bytes = vec![0; write.bytes.len()];
            self.image.read_exact_at(&mut bytes, write.offset).unwrap();
            self.now.write_all_at(&bytes, write.offset).unwrap();
        }
        let way = [
            "none",
            "all",
            "some writes",
            "some sectors",
            "the first",
            "the last",
        ][usize::try_from(way).unwrap()];
        let flushes = std::mem::take(&mut self.flushes);
        let writes = pending.len();
        let stuck = if self.is_stuck { ", stuck" } else { "" };
        format!(
            "{flushes} flushes{stuck}, {writes} unsafe writes, {kept} of {units} sectors kept: {way}"
        )
    }
}

/// A request of the transmission phase.
struct Request {
    flags: u16,
    kind: u16,
    cookie: [u8; 8],
    offset: u64,
    length: u32,
    bytes: Vec<u8>,
}

/// Serves a connection until its end.
fn serve(disk: &mut Cache, mut stream: UnixStream) -> io::Result<()> {
    disk.start();
    shake_hands(&mut stream, disk.size)?;
    let has_ended = Arc::new(AtomicBool::new(false));
    let (sender, receiver) = channel();
    let mut input = stream.try_clone()?;
    let ended = Arc::clone(&has_ended);
    let reader = std::thread::spawn(move || {
        while let Ok(request) = request(&mut input) {
            if sender.send(request).is_err() {
                break;
            }
        }
        ended.store(true, Ordering::SeqCst);
    });
    let result = transmit(disk, &mut stream, &receiver, &has_ended);
    drop(receiver);
    let _ = stream.shutdown(std::net::Shutdown::Both);
    reader.join().unwrap();
    result
}

/// Answers requests. Requests that came in together are one batch, and have their
/// replies together.
fn transmit(
    disk: &mut Cache,
    stream: &mut UnixStream,
    requests: &Receiver<Request>,
    has_ended: &AtomicBool,
) -> io::Result<()> {
    while let Ok(first) = requests.recv() {
        disk.batch += 1;
        let mut batch = vec![first];
        batch.extend(requests.try_iter());
        let mut replies = Vec::new();
        for request in batch {
            let mut data = Vec::new();
            match request.kind {
                0 => {
                    data.resize(request.length as usize, 0);
                    disk.now.read_exact_at(&mut data, request.offset)?;
                }
                1 => {
                    let is_fua = request.flags & FUA != 0;
                    let is_safe = is_fua && !disk.is_stuck && !has_ended.load(Ordering::SeqCst);
                    disk.write(request.offset, request.bytes, is_safe);
                    if is_fua && !is_safe {
                        continue;
                    }
                }
                2 => return Ok(()),
                3 => {
                    if disk.refuses() {
                        continue;
                    }
                    let time = disk.dice.below(FLUSH_MICROSECONDS);
                    std::thread::sleep(Duration::from_micros(time));
                    // Without power, a flush has no effect.
                    if !has_ended.load(Ordering::SeqCst) {
                        disk.flush();
                    }
                }
                kind => return Err(io::Error::other(format!("request {kind}"))),
            }
            replies.extend(REPLY_MAGIC.to_be_bytes());
            replies.extend([0; 4]);
            replies.extend(request.cookie);
            replies.extend(data);
        }
        if stream.write_all(&replies).is_err() {
            break;
        }
    }
    // The writes that are still to be read were under way.
    while let Ok(request) = requests.recv() {
        if request.kind == 1 {
            disk.write(request.offset, request.bytes, false);
        }
    }
    Ok(())
}

/// The handshake: fixed newstyle, with one export of any name.
fn shake_hands(stream: &mut UnixStream, size: u64) -> io::Result<()> {
    stream.write_all(b"NBDMAGIC")?;
    stream.write_all(OPTION_MAGIC)?;
    stream.write_all(&HANDSHAKE.to_be_bytes())?;
    let flags = number(stream)?;
    loop {
        let mut magic = [0; 8];
        stream.read_exact(&mut magic)?;
        if &magic != OPTION_MAGIC {
            return Err(io::Error::other("no option"));
        }
        let option = number(stream)?;
        let mut data = vec![0; number(stream)? as usize];
        stream.read_exact(&mut data)?;
        let mut reply = |kind: u32, data: &[u8]| {
            let mut reply = 0x0003_e889_0455_65a9_u64.to_be_bytes().to_vec();
            reply.extend(option.to_be_bytes());
            reply.extend(kind.to_be_bytes());
            reply.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
            reply.extend(data);
            stream.write_all(&reply)
        };
        match option {
            // EXPORT_NAME
            1 => {
                stream.write_all(&size.to_be_bytes())?;
                stream.write_all(&EXPORT.to_be_bytes())?;
                if flags & 2 == 0 {
                    stream.write_all(&[0; 124])?;
                }
                return Ok(());
            }
            // INFO and GO
            6 | 7 => {
                let mut info = vec![0, 0];
                info.extend(size.to_be_bytes());
                info.extend(EXPORT.to_be_bytes());
                reply(3, &info)?;
                reply(1, &[])?;
                if option == 7 {
                    return Ok(());
                }
            }
            // Unsupported
            _ => reply(1 << 31 | 1, &[])?,
        }
    }
}

fn request(stream: &mut UnixStream) -> io::Result<Request> {
    if number(stream)? != REQUEST_MAGIC {
        return Err(io::Error::other("no request"));
    }
    let mut head = [0; 24];
    stream.read_exact(&mut head)?;
    let mut request = Request {
        flags: u16::from_be_bytes([head[0], head[1]]),
        kind: u16::from_be_bytes([head[2], head[3]]),
        cookie: head[4..12].try_into().unwrap(),
        offset: u64::from_be_bytes(head[12..20].try_into().unwrap()),
        length: u32::from_be_bytes(head[20..].try_into().unwrap()),
        bytes: Vec::new(),
    };
    if request.kind == 1 {
        request.bytes.resize(request.length as usize, 0);
        stream.read_exact(&mut request.bytes)?;
    }
    Ok(request)
}

fn number(stream: &mut UnixStream) -> io::Result<u32> {
    let mut bytes = [0; 4];
    stream.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk of four sectors of 512 bytes with zeroes.
    fn disk() -> (tempfile::TempDir, Cache) {
        let directory = tempfile::tempdir().unwrap();
        let image = directory.path().join("image");
        fs::write(&image, [0; 2048]).unwrap();
        let disk = Cache::open(image.to_str().unwrap(), 512, 0);
        (directory, disk)
    }

    fn shown(disk: &Cache) -> Vec<u8> {
        let sector = |number: u64| {
            let mut byte = [0];
            disk.image.read_exact_at(&mut byte, 512 * number).unwrap();
            byte[0]
        };
        (0..4).map(sector).collect()
    }

    #[test]
    fn flushed_and_fua_writes_survive_every_cut() {
        let (_directory, mut disk) = disk();
        for _ in 0..1000 {
            disk.batch += 1;
            disk.write(0, vec![0; 2048], true);
            disk.write(0, vec![1; 1024], false);
            disk.batch += 1;
            disk.write(512, vec![2; 512], false);
            disk.flush();
            // Later in the cache, but earlier than the FUA.
            disk.write(1024, vec![3; 512], false);
            disk.write(1024, vec![4; 512], true);
            disk.write(1536, vec![5; 512], false);
            disk.cut();
            let seen = shown(&disk);
            assert_eq!(seen[0], 1);
            assert!(seen[1] == 1 || seen[1] == 2, "{seen:?}");
            assert_eq!(seen[2], 4);
            assert!(seen[3] == 0 || seen[3] == 5, "{seen:?}");
        }
    }

    #[test]
    fn cuts_keep_every_part_of_unsafe_writes() {
        let mut all = std::collections::BTreeSet::new();
        let (_directory, mut disk) = disk();
        for _ in 0..1000 {
            disk.write(0, vec![0; 2048], true);
            disk.write(0, vec![1; 1024], false);
            disk.write(1024, vec![1; 512], false);
            disk.cut();
            all.insert(shown(&disk));
        }
        assert_eq!(all.len(), 8, "{all:?}");
    }
}
