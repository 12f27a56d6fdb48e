//! Memory for programs that must survive a shortage: supervisors, scanners,
//! loggers.
//!
//! Rust aborts a program whose request for memory fails. A supervisor that is
//! process 1 would end its machine. With [`ReserveAllocator`] no request fails,
//! except inside [`try_reserve`] and the other fallible functions of this module:
//!
//! 1. The system's allocator serves the request.
//! 2. If it has no memory, a static reserve serves requests of up to a page. The
//!    reserve is meant for requests that end soon: paths, messages, file contents.
//! 3. If the reserve is in use, the request waits until the system has memory.
//!
//! A program would fill the reserve, and then wait, if its tables grew out of the
//! reserve. So permanent growth uses the fallible functions, which neither take
//! from the reserve nor wait. After an error the program warns, drops the growth
//! and retries later.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, UnsafeCell};
use std::ffi::{CStr, CString};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::errno::Errno;

/// The interval between two requests to a system without memory.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// The largest request that the reserve serves, in bytes. One word of the bitmap
/// describes the cells of a page.
const PAGE: usize = 4096;
const PAGES: usize = 16;
const CELLS: usize = usize::BITS as usize;
/// 64 bytes with 64-bit words, 128 with 32-bit words.
const CELL: usize = PAGE / CELLS;

/// Makes [`ReserveAllocator`] the allocator of a
/// long-running program. A command that a user waits for should fail instead.
#[macro_export]
macro_rules! keep_reserve {
    () => {
        // The test harness compiles several programs into one.
        #[cfg(not(test))]
        #[global_allocator]
        static MEMORY: $crate::memory::ReserveAllocator = $crate::memory::ReserveAllocator;
    };
}

/// The allocator of a long-running program: [`keep_reserve!`](crate::keep_reserve!).
///
/// Memory of the reserve is distinguished by its address. A child of fork(2) has
/// its own copy of the reserve; a child of vfork(2) shares it.
#[derive(Clone, Copy, Debug)]
pub struct ReserveAllocator;

static RESERVE: Reserve = Reserve {
    bitmap: Bitmap::new(),
    pages: Pages(UnsafeCell::new([[0; PAGE]; PAGES])),
};

thread_local! {
    /// Whether a failed request returns null.
    static FALLIBLE: Cell<bool> = const { Cell::new(false) };
}

/// Takes this much address space for the heap at its first growth, in bytes. Memory
/// is taken when it is used. Call this before the first allocation.
///
/// glibc's allocator then rarely calls brk(2), and never to shrink the heap. musl's
/// has no such setting.
pub fn extend_heap(size: i32) {
    #[cfg(target_env = "gnu")]
    for (setting, value) in [
        (libc::M_TOP_PAD, size),
        (libc::M_TRIM_THRESHOLD, libc::c_int::MAX),
    ] {
        // SAFETY: no memory is passed.
        unsafe { libc::mallopt(setting, value) };
    }
    #[cfg(not(target_env = "gnu"))]
    let _ = size;
}

/// Reserves capacity for `additional` more elements from the system alone.
///
/// # Errors
/// ENOMEM. The vector keeps its capacity.
pub fn try_reserve<T>(vector: &mut Vec<T>, additional: usize) -> Result<(), Errno> {
    fallible(|| vector.try_reserve(additional)).map_err(|_| Errno::ENOMEM)
}

/// As [`try_reserve`], without spare capacity.
///
/// # Errors
/// ENOMEM.
pub fn try_reserve_exact<T>(vector: &mut Vec<T>, additional: usize) -> Result<(), Errno> {
    fallible(|| vector.try_reserve_exact(additional)).map_err(|_| Errno::ENOMEM)
}

/// A vector of zeros, with memory from the system alone. The system zeroes large
/// blocks itself: their pages take no memory until they are used.
///
/// # Errors
/// ENOMEM.
pub fn try_zeroed(length: usize) -> Result<Vec<u8>, Errno> {
    if length == 0 {
        return Ok(Vec::new());
    }
    let layout = Layout::array::<u8>(length).map_err(|_| Errno::ENOMEM)?;
    let memory = fallible(|| {
        // SAFETY: the size is not 0.
        unsafe { std::alloc::alloc_zeroed(layout) }
    });
    if memory.is_null() {
        return Err(Errno::ENOMEM);
    }
    let bytes = std::ptr::slice_from_raw_parts_mut(memory, length);
    // SAFETY: the global allocator gave these bytes, all of them 0, for this layout.
    Ok(unsafe { Box::from_raw(bytes) }.into_vec())
}

/// Moves a value to the heap, with memory from the system alone.
///
/// # Errors
/// ENOMEM. The value is dropped.
pub fn try_box<T>(value: T) -> Result<Box<T>, Errno> {
    let mut memory = Vec::new();
    try_reserve_exact(&mut memory, 1)?;
    memory.push(value);
    let memory: *mut [T] = Box::into_raw(memory.into_boxed_slice());
    // SAFETY: a slice of one element has the layout of the element.
    Ok(unsafe { Box::from_raw(memory.cast::<T>()) })
}

/// Copies a string, with memory from the system alone.
///
/// # Errors
/// ENOMEM.
pub fn try_to_owned(text: &CStr) -> Result<CString, Errno> {
    let mut copy = Vec::new();
    try_reserve_exact(&mut copy, text.count_bytes() + 1)?;
    copy.extend_from_slice(text.to_bytes_with_nul());
    CString::from_vec_with_nul(copy).map_err(|_| Errno::EINVAL)
}

/// Whether the system gives a block of this size at present, in bytes. Small
/// requests of the same total size then rarely reach the reserve.
pub fn has_room(size: usize) -> bool {
    let Ok(layout) = Layout::from_size_align(size.max(1), align_of::<usize>()) else {
        return false;
    };
    // SAFETY: the size is not 0.
    let block = unsafe { System.alloc(layout) };
    // The compiler would remove a request whose memory is not used.
    let block = std::hint::black_box(block);
    if !block.is_null() {
        // SAFETY: the system gave this block for the same layout.
        unsafe { System.dealloc(block, layout) };
    }
    !block.is_null()
}

/// The bytes of the reserve in use: now, and at most since the start. The size of
/// the reserve is 65536.
pub fn reserve_use() -> (usize, usize) {
    let used = RESERVE.bitmap.used.load(Ordering::Relaxed);
    let peak = RESERVE.bitmap.peak.load(Ordering::Relaxed);
    (used * CELL, peak * CELL)
}

/// Runs `action`, whose requests to [`ReserveAllocator`] fail when the system has
/// no memory.
fn fallible<T>(action: impl FnOnce() -> T) -> T {
    let outer = FALLIBLE.replace(true);
    let result = action();
    FALLIBLE.set(outer);
    result
}

/// Repeats a request to the system until the system or the reserve serves it.
/// Returns null only inside [`fallible`].
fn obtain(layout: Layout, request: impl Fn() -> *mut u8) -> *mut u8 {
    loop {
        let memory = request();
        if !memory.is_null() || FALLIBLE.get() {
            return memory;
        }
        if let Some(cells) = RESERVE.take(layout) {
            return cells.as_ptr();
        }
        std::thread::sleep(RETRY_INTERVAL);
    }
}

// SAFETY: the memory comes from the system's allocator or from the reserve, which
// gives each cell to one request at a time. Neither unwinds.
unsafe impl GlobalAlloc for ReserveAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        obtain(layout, || {
            // SAFETY: the caller's promise for `layout`.
            unsafe { System.alloc(layout) }
        })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        obtain(layout, || {
            // SAFETY: the caller's promise for `layout`.
            unsafe { System.alloc_zeroed(layout) }
        })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        match RESERVE.cell(memory) {
            Some(cell) => RESERVE.bitmap.free(cell, cells(layout.size())),
            // SAFETY: all other memory comes from the system.
            None => unsafe { System.dealloc(memory, layout) },
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let old = layout.size();
        let cell = RESERVE.cell(memory);
        if cell.is_none() {
            // SAFETY: the caller's promise; the memory comes from the system.
            let moved = unsafe { System.realloc(memory, layout, size) };
            if !moved.is_null() {
                return moved;
            }
        }
        if size <= old {
            // The block of the system keeps its size.
            if let Some(cell) = cell {
                let kept = cells(size);
                RESERVE.bitmap.free(cell + kept, cells(old) - kept);
            }
            return memory;
        }
        // SAFETY: the alignment is that of the old block, and the caller promises
        // that the size does not overflow.
        let layout_after = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the size is not 0.
        let moved = unsafe { self.alloc(layout_after) };
        if !moved.is_null() {
            // SAFETY: both blocks have `old` bytes, and do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(memory, moved, old) };
            // SAFETY: the caller gives up the old block.
            unsafe { self.dealloc(memory, layout) };
        }
        moved
    }
}

/// The number of cells that hold this many bytes.
const fn cells(size: usize) -> usize {
    size.div_ceil(CELL)
}

/// The static reserve. Pages that were never used take no memory.
struct Reserve {
    bitmap: Bitmap,
    pages: Pages,
}

#[repr(align(4096))]
struct Pages(UnsafeCell<[[u8; PAGE]; PAGES]>);

// SAFETY: the bitmap gives each cell to one request at a time.
unsafe impl Sync for Pages {}

impl Reserve {
    fn start(&self) -> *mut u8 {
        self.pages.0.get().cast()
    }

    /// Zeroed memory. None if no page has room, or for a larger or more aligned
    /// request than the reserve serves.
    fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.align() > CELL {
            return None;
        }
        let count = cells(layout.size());
        let cell = self.bitmap.take(count)?;
        // SAFETY: the cell is in the reserve.
        let memory = unsafe { self.start().add(cell * CELL) };
        // SAFETY: the cells belong to this request alone.
        unsafe { memory.write_bytes(0, count * CELL) };
        NonNull::new(memory)
    }

    /// The number of the first cell of memory in the reserve.
    fn cell(&self, memory: *mut u8) -> Option<usize> {
        let offset = memory.addr().checked_sub(self.start().addr())?;
        (offset < PAGES * PAGE).then_some(offset / CELL)
    }
}

/// The cells in use. A set bit stands for a used cell.
struct Bitmap {
    pages: [AtomicUsize; PAGES],
    used: AtomicUsize,
    peak: AtomicUsize,
}

impl Bitmap {
    const fn new() -> Self {
        Bitmap {
            pages: [const { AtomicUsize::new(0) }; PAGES],
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
        }
    }

    /// Takes cells in a row, within one page. Returns the number of the first.
    fn take(&self, count: usize) -> Option<usize> {
        for (number, page) in self.pages.iter().enumerate() {
            let mut word = page.load(Ordering::Relaxed);
            while let Some(first) = free_run(word, count) {
                let taken = word | (mask(count) << first);
                match page.compare_exchange(word, taken, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => {
                        let used = self.used.fetch_add(count, Ordering::Relaxed) + count;
                        self.peak.fetch_max(used, Ordering::Relaxed);
                        return Some(number * CELLS + first);
                    }
                    Err(now) => word = now,
                }
            }
        }
        None
    }

    /// Returns cells of one page.
    fn free(&self, first: usize, count: usize) {
        if let Some(page) = self.pages.get(first / CELLS) {
            let bits = mask(count) << (first % CELLS);
            page.fetch_and(!bits, Ordering::Release);
            self.used.fetch_sub(count, Ordering::Relaxed);
        }
    }
}

/// A word with this many low bits.
const fn mask(count: usize) -> usize {
    match count {
        0 => 0,
        1..CELLS => (1 << count) - 1,
        CELLS.. => usize::MAX,
    }
}

/// The first of `count` free cells in a row.
fn free_run(word: usize, count: usize) -> Option<usize> {
    if count == 0 || count > CELLS {
        return None;
    }
    let mut starts = !word;
    for distance in 1..count {
        starts &= !word >> distance;
    }
    (starts != 0).then_some(starts.trailing_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_run_is_the_first_that_fits() {
        for (word, count, first) in [
            (0, 1, Some(0)),
            (0, CELLS, Some(0)),
            (0, CELLS + 1, None),
            (0, 0, None),
            (usize::MAX, 1, None),
            (0b1, CELLS, None),
            (0b1, CELLS - 1, Some(1)),
            (0b1011, 1, Some(2)),
            (0b1011, 2, Some(4)),
            (0b1011, CELLS - 4, Some(4)),
            (0b1011, CELLS - 3, None),
            (!(1 << (CELLS - 1)), 1, Some(CELLS - 1)),
            (!(1 << (CELLS - 1)), 2, None),
        ] {
            assert_eq!(free_run(word, count), first, "{word:b} {count}");
        }
    }

    #[test]
    fn bitmap_gives_each_cell_once() {
        let bitmap = Bitmap::new();
        let mut used = vec![false; PAGES * CELLS];
        let mut blocks = Vec::new();
        for count in (1..=CELLS).cycle() {
            let Some(first) = bitmap.take(count) else {
                break;
            };
            assert_eq!(first / CELLS, (first + count - 1) / CELLS);
            for cell in &mut used[first..first + count] {
                assert!(!std::mem::replace(cell, true));
            }
            blocks.push((first, count));
        }
        while bitmap
            .take(1)
            .map(|first| blocks.push((first, 1)))
            .is_some()
        {}
        let size = PAGES * CELLS;
        assert_eq!(bitmap.used.load(Ordering::Relaxed), size);
        for (first, count) in blocks {
            bitmap.free(first, count);
        }
        assert_eq!(bitmap.used.load(Ordering::Relaxed), 0);
        assert_eq!(bitmap.peak.load(Ordering::Relaxed), size);
        assert_eq!(bitmap.take(CELLS), Some(0));
    }

    #[test]
    fn bitmap_frees_only_the_given_cells() {
        let bitmap = Bitmap::new();
        assert_eq!(bitmap.take(CELLS), Some(0));
        assert_eq!(bitmap.take(5), Some(CELLS));
        bitmap.free(CELLS + 2, 3);
        bitmap.free(CELLS, 0);
        assert_eq!(bitmap.take(3), Some(CELLS + 2));
        bitmap.free(0, CELLS);
        assert_eq!(bitmap.take(CELLS), Some(0));
    }

    #[test]
    fn reserve_serves_zeroed_aligned_small_requests() {
        static RESERVE: Reserve = Reserve {
            bitmap: Bitmap::new(),
            pages: Pages(UnsafeCell::new([[1; PAGE]; PAGES])),
        };
        let reserve = &RESERVE;
        let layout = |size, align| Layout::from_size_align(size, align).unwrap();
        assert_eq!(reserve.take(layout(PAGE + 1, 1)), None);
        assert_eq!(reserve.take(layout(1, 2 * CELL)), None);
        for size in [1, CELL, CELL + 1, PAGE] {
            let memory = reserve.take(layout(size, CELL)).unwrap();
            assert_eq!(memory.as_ptr().addr() % CELL, 0);
            // SAFETY: the reserve gave this many bytes.
            let bytes = unsafe { std::slice::from_raw_parts(memory.as_ptr(), size) };
            assert!(bytes.iter().all(|&byte| byte == 0));
            let cell = reserve.cell(memory.as_ptr()).unwrap();
            reserve.bitmap.free(cell, cells(size));
        }
        assert_eq!(reserve.cell(reserve.start().wrapping_sub(1)), None);
        assert_eq!(
            reserve.cell(reserve.start().wrapping_add(PAGES * PAGE)),
            None
        );
    }

    #[test]
    fn block_of_the_reserve_moves_when_it_grows() {
        let layout = Layout::from_size_align(3 * CELL, 1).unwrap();
        let memory = RESERVE.take(layout).unwrap().as_ptr();
        // SAFETY: the block has this many bytes.
        unsafe { memory.write_bytes(7, 3 * CELL) };
        // SAFETY: the block has this layout.
        let shrunk = unsafe { ReserveAllocator.realloc(memory, layout, CELL) };
        assert_eq!(shrunk, memory);
        assert_eq!(reserve_use(), (CELL, 3 * CELL));
        let layout = Layout::from_size_align(CELL, 1).unwrap();
        // SAFETY: the block has this layout since it shrank.
        let grown = unsafe { ReserveAllocator.realloc(memory, layout, 2 * PAGE) };
        assert_eq!((RESERVE.cell(grown), reserve_use().0), (None, 0));
        // SAFETY: the new block is larger.
        let bytes = unsafe { std::slice::from_raw_parts(grown, CELL) };
        assert!(bytes.iter().all(|&byte| byte == 7));
        let layout = Layout::from_size_align(2 * PAGE, 1).unwrap();
        // SAFETY: the block has this layout.
        unsafe { ReserveAllocator.dealloc(grown, layout) };
    }

    #[test]
    fn fallible_functions_fail_for_impossible_sizes() {
        let huge = usize::MAX / 4;
        let mut bytes = vec![1_u8];
        assert_eq!(try_reserve(&mut bytes, huge), Err(Errno::ENOMEM));
        assert_eq!(try_reserve_exact(&mut bytes, huge), Err(Errno::ENOMEM));
        assert!(!has_room(huge) && has_room(0) && has_room(PAGE));
        assert!(!FALLIBLE.get());
        assert_eq!(try_zeroed(huge * 3), Err(Errno::ENOMEM));
        assert_eq!(try_zeroed(0), Ok(Vec::new()));
        assert_eq!(try_zeroed(PAGE), Ok(vec![0; PAGE]));
        assert_eq!(try_box(5_u64), Ok(Box::new(5)));
        assert_eq!(try_to_owned(c"name"), Ok(c"name".to_owned()));
    }
}
