//! Memory for programs that must survive a shortage: supervisors, scanners,
//! loggers.
//!
//! Rust aborts a program whose request for memory fails. A supervisor that is
//! process 1 would end its machine. With [`ReserveAllocator`] no request fails,
//! except inside [`try_reserve`] and the other fallible functions of this module:
//!
//! 1. The system's allocator serves the request. Large requests are mappings.
//! 2. If it has no memory, a reserve serves requests of up to a page. The reserve is
//!    mapped at the start. It is meant for requests that end soon: paths, messages, file
//!    contents.
//! 3. If the reserve is in use, the request waits until the system has memory.
//!
//! A program would fill the reserve, and then wait, if its tables grew out of the
//! reserve. So permanent growth uses the fallible functions, which neither take
//! from the reserve nor wait. After an error the program warns, drops the growth
//! and retries later. [`extend_heap`] takes address space for this growth ahead of
//! need.

mod cells;
mod mapping;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::io::{IoSlice, Write};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};
use std::time::Duration;

use nix::errno::Errno;

use self::cells::{CellStore, Cells, PAGE, cells};
use crate::clone::map_stack;

/// The interval between two requests to a system without memory.
const RETRY_INTERVAL: Duration = Duration::from_millis(100);

/// The reserve of [`map_reserve`], 64 KiB: null without it.
static RESERVE: AtomicPtr<CellStore<RESERVE_PAGES>> = AtomicPtr::new(std::ptr::null_mut());
const RESERVE_PAGES: usize = 16;

/// The cells of the reserve in use, and the most since the start.
static RESERVE_USED: AtomicUsize = AtomicUsize::new(0);
static RESERVE_PEAK: AtomicUsize = AtomicUsize::new(0);

/// The further memory of [`extend_heap`], 1 MiB: null without it.
static HEAP: AtomicPtr<CellStore<HEAP_PAGES>> = AtomicPtr::new(std::ptr::null_mut());
const HEAP_PAGES: usize = 256;

/// As [`main!`](crate::main!), for a long-running program of this name: with
/// [`ReserveAllocator`] and [`map_reserve`]. A command that a user waits for should fail
/// instead.
#[macro_export]
macro_rules! main_with_reserve {
    ($name:expr, $body:expr $(,)?) => {
        // The test harness compiles several programs into one.
        #[cfg(not(test))]
        #[global_allocator]
        static MEMORY: $crate::memory::ReserveAllocator = $crate::memory::ReserveAllocator;

        $crate::main!({
            $crate::memory::map_reserve($name);
            $body
        });
    };
}

/// The allocator of a long-running program:
/// [`main_with_reserve!`](crate::main_with_reserve!).
///
/// Memory of the reserve is distinguished by its address. A child of fork(2) has
/// its own copy of the reserve; a child of vfork(2) shares it.
#[derive(Clone, Copy, Debug)]
pub struct ReserveAllocator;

thread_local! {
    /// Whether a failed request returns null.
    static FALLIBLE: Cell<bool> = const { Cell::new(false) };
}

/// Maps the reserve, and a stack for children. Until the system has memory, the program
/// `name` waits, with one warning. Memory is taken when it is used.
///
/// Static memory of this size would part the small variables before it from those after
/// it, which takes one more page in each program.
pub fn map_reserve(name: &str) {
    let map = || map_to(&RESERVE).and_then(|()| map_stack()).is_ok();
    if map() {
        return;
    }
    // No allocation. An error could not be reported either.
    let message = [
        name,
        ": warning: unable to allocate memory, waiting: out of memory\n",
    ];
    let _ = std::io::stderr().write_vectored(&message.map(|part| IoSlice::new(part.as_bytes())));
    while !map() {
        std::thread::sleep(RETRY_INTERVAL);
    }
}

/// Maps 1 MiB for growth ahead of need. Memory is taken when it is used. The mapping
/// serves requests for which the system has no memory.
///
/// The heap of glibc's allocator grows by as much from now on, and never shrinks, for
/// few calls of brk(2).
pub fn extend_heap() {
    #[cfg(target_env = "gnu")]
    for (setting, value) in [
        (libc::M_TOP_PAD, 1024 * 1024),
        (libc::M_TRIM_THRESHOLD, libc::c_int::MAX),
    ] {
        // SAFETY: no memory is passed.
        unsafe { libc::mallopt(setting, value) };
    }
    // Without memory there is no mapping.
    let _ = map_to(&HEAP);
}

/// Maps memory, unless there is a mapping.
fn map_to<const PAGES: usize>(store: &AtomicPtr<CellStore<PAGES>>) -> Result<(), Errno> {
    if store.load(Ordering::Acquire).is_null() {
        let memory = mapping::map(size_of::<CellStore<PAGES>>())?;
        store.store(memory.as_ptr().cast(), Ordering::Release);
    }
    Ok(())
}

/// Reserves capacity for `additional` more elements, without the reserve.
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

/// A vector of zeros, without the reserve. The system zeroes large
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

/// Moves a value to the heap, without the reserve.
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

/// Copies a string, without the reserve.
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

/// Runs `action`, whose requests to [`ReserveAllocator`] fail when the system has
/// no memory.
fn fallible<T>(action: impl FnOnce() -> T) -> T {
    let outer = FALLIBLE.replace(true);
    let result = action();
    FALLIBLE.set(outer);
    result
}

/// Repeats a request to the system until the system, the reserve or the further
/// memory serves it. Returns null only inside [`fallible`].
fn obtain(layout: Layout, request: impl Fn() -> *mut u8) -> *mut u8 {
    loop {
        let memory = request();
        if !memory.is_null() {
            return memory;
        }
        let fallible = FALLIBLE.get();
        let reserved = if fallible { None } else { take_reserve(layout) };
        if let Some(cells) = reserved.or_else(|| mapped(&HEAP)?.take(layout)) {
            return cells.as_ptr();
        }
        if fallible {
            return memory;
        }
        std::thread::sleep(RETRY_INTERVAL);
    }
}

fn take_reserve(layout: Layout) -> Option<NonNull<u8>> {
    if layout.size() > PAGE {
        return None;
    }
    let memory = mapped(&RESERVE)?.take(layout)?;
    let count = cells(layout.size());
    let used = RESERVE_USED.fetch_add(count, Ordering::Relaxed) + count;
    RESERVE_PEAK.fetch_max(used, Ordering::Relaxed);
    Some(memory)
}

fn mapped<const PAGES: usize>(store: &AtomicPtr<CellStore<PAGES>>) -> Option<Cells<'static>> {
    let store = store.load(Ordering::Acquire);
    // SAFETY: null, or zeroed memory that stays mapped, and zeros are a valid value.
    unsafe { store.as_ref() }.map(CellStore::cells)
}

/// The cells of a block, with the number of the first. None if the system gave it.
fn find(memory: *mut u8) -> Option<Block> {
    let in_cells = |cells: Option<Cells<'static>>, counter| {
        let cells = cells?;
        let first = cells.find(memory)?;
        Some(Block {
            cells,
            first,
            counter,
        })
    };
    in_cells(mapped(&RESERVE), Some(&RESERVE_USED)).or_else(|| in_cells(mapped(&HEAP), None))
}

/// A block outside the system's memory.
struct Block {
    cells: Cells<'static>,
    first: usize,
    /// The cells in use, if counted.
    counter: Option<&'static AtomicUsize>,
}

impl Block {
    /// Frees the end of a block with this size. `kept` bytes remain.
    fn free(&self, size: usize, kept: usize) {
        let (count, kept) = (cells(size), cells(kept));
        self.cells.free(self.first + kept, count - kept);
        if let Some(counter) = self.counter {
            counter.fetch_sub(count - kept, Ordering::Relaxed);
        }
    }
}

/// The smallest request that is a mapping, in bytes. An allocator writes to the first
/// page of such a block, musl's to the last one as well: pages that a program that waits
/// has no use for.
const MIN_MAPPED: usize = 32 * 1024;

fn is_mapped(layout: Layout) -> bool {
    layout.size() >= MIN_MAPPED && layout.align() <= PAGE
}

fn pointer(mapped: Result<NonNull<u8>, Errno>) -> *mut u8 {
    mapped.map_or(std::ptr::null_mut(), NonNull::as_ptr)
}

// SAFETY: the memory comes from the system's allocator, from a mapping or from cells,
// each of which belongs to one request at a time. None of them unwinds.
unsafe impl GlobalAlloc for ReserveAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        obtain(layout, || {
            if is_mapped(layout) {
                return pointer(mapping::map(layout.size()));
            }
            // SAFETY: the caller's promise for `layout`.
            unsafe { System.alloc(layout) }
        })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let memory = obtain(layout, || {
            if is_mapped(layout) {
                return pointer(mapping::map(layout.size()));
            }
            // SAFETY: the caller's promise for `layout`.
            unsafe { System.alloc_zeroed(layout) }
        });
        if find(memory).is_some() {
            // SAFETY: the block has this size.
            unsafe { memory.write_bytes(0, layout.size()) };
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        match find(memory) {
            Some(block) => block.free(layout.size(), 0),
            // SAFETY: the caller gives up the mapping, which has this size.
            None if is_mapped(layout) => unsafe { mapping::unmap(memory, layout.size()) },
            // SAFETY: all other memory comes from the system.
            None => unsafe { System.dealloc(memory, layout) },
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let old = layout.size();
        // SAFETY: the alignment is that of the old block, and the caller promises
        // that the size does not overflow.
        let layout_after = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        let block = find(memory);
        let same_source = block.is_some() || is_mapped(layout) == is_mapped(layout_after);
        if block.is_none() && same_source {
            let moved = if is_mapped(layout) {
                // SAFETY: the mapping has this size.
                pointer(unsafe { mapping::remap(memory, old, size) })
            } else {
                // SAFETY: the caller's promise; the memory comes from the system.
                unsafe { System.realloc(memory, layout, size) }
            };
            if !moved.is_null() {
                return moved;
            }
        }
        if size <= old && same_source {
            // Outside of cells, the block keeps its size.
            if let Some(block) = block {
                block.free(old, size);
            }
            return memory;
        }
        // SAFETY: the size is not 0.
        let moved = unsafe { self.alloc(layout_after) };
        if !moved.is_null() {
            // SAFETY: both blocks have as many bytes, and do not overlap.
            unsafe { std::ptr::copy_nonoverlapping(memory, moved, old.min(size)) };
            // SAFETY: the caller gives up the old block.
            unsafe { self.dealloc(memory, layout) };
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::cells::CELL;
    use super::*;

    #[test]
    fn block_of_the_reserve_moves_when_it_grows() {
        map_to(&RESERVE).unwrap();
        let used = || RESERVE_USED.load(Ordering::Relaxed);
        let layout = Layout::from_size_align(3 * CELL, 1).unwrap();
        let memory = take_reserve(layout).unwrap().as_ptr();
        assert_eq!(used(), 3);
        // SAFETY: the block has this many bytes.
        unsafe { memory.write_bytes(7, 3 * CELL) };
        // SAFETY: the block has this layout.
        let shrunk = unsafe { ReserveAllocator.realloc(memory, layout, CELL) };
        assert_eq!((shrunk, used()), (memory, 1));
        let layout = Layout::from_size_align(CELL, 1).unwrap();
        // SAFETY: the block has this layout since it shrank.
        let grown = unsafe { ReserveAllocator.realloc(memory, layout, 2 * PAGE) };
        assert!(find(grown).is_none() && used() == 0);
        assert_eq!(RESERVE_PEAK.load(Ordering::Relaxed), 3);
        // SAFETY: the new block is larger.
        let bytes = unsafe { std::slice::from_raw_parts(grown, CELL) };
        assert!(bytes.iter().all(|&byte| byte == 7));
        let layout = Layout::from_size_align(2 * PAGE, 1).unwrap();
        // SAFETY: the block has this layout.
        unsafe { ReserveAllocator.dealloc(grown, layout) };
        let large = Layout::from_size_align(PAGE + 1, 1).unwrap();
        assert_eq!(take_reserve(large), None);
    }

    #[test]
    fn large_block_is_a_mapping_at_each_size() {
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        let small = MIN_MAPPED - 1;
        // SAFETY: the size is not 0.
        let mut memory = unsafe { ReserveAllocator.alloc(layout(small)) };
        // SAFETY: the block has this many bytes.
        unsafe { memory.write_bytes(7, small) };
        let mut size = small;
        for next in [MIN_MAPPED, 10 * MIN_MAPPED, 2 * MIN_MAPPED, small, PAGE] {
            // SAFETY: the block has this layout.
            memory = unsafe { ReserveAllocator.realloc(memory, layout(size), next) };
            let whole_pages = memory.addr() % PAGE == 0;
            assert!(whole_pages || next < MIN_MAPPED, "{next}");
            // SAFETY: the block has at least as many bytes, all of them written.
            let bytes = unsafe { std::slice::from_raw_parts(memory, next.min(small)) };
            assert!(bytes.iter().all(|&byte| byte == 7), "{next}");
            size = next;
        }
        // SAFETY: the block has this layout.
        unsafe { ReserveAllocator.dealloc(memory, layout(size)) };
        // SAFETY: the size is not 0.
        let zeros = unsafe { ReserveAllocator.alloc_zeroed(layout(MIN_MAPPED)) };
        // SAFETY: the block has this many bytes.
        let bytes = unsafe { std::slice::from_raw_parts(zeros, MIN_MAPPED) };
        assert!(bytes.iter().all(|&byte| byte == 0));
        // SAFETY: the block has this layout.
        unsafe { ReserveAllocator.dealloc(zeros, layout(MIN_MAPPED)) };
    }

    #[test]
    fn further_memory_serves_growth_without_system() {
        let refused = std::ptr::null_mut;
        let layout = |size| Layout::from_size_align(size, 8).unwrap();
        let take = |size| fallible(|| obtain(layout(size), refused));
        assert!(take(1).is_null());
        map_to(&HEAP).unwrap();
        let small = take(1);
        // SAFETY: the block has this many bytes.
        unsafe { small.write_bytes(7, 1) };
        // SAFETY: the block has this layout.
        let same = unsafe { ReserveAllocator.realloc(small, layout(1), 1) };
        assert_eq!(same, small);
        let large = take(3 * PAGE + 1);
        let end = large.addr() + 3 * PAGE + 1;
        assert!(small.addr() < large.addr() || end <= small.addr());
        assert!(find(large).is_some_and(|block| block.counter.is_none()));
        // SAFETY: the block has this many bytes.
        unsafe { large.write_bytes(7, 3 * PAGE + 1) };
        // SAFETY: the block has this layout.
        let kept = unsafe { ReserveAllocator.realloc(large, layout(3 * PAGE + 1), PAGE) };
        assert_eq!(kept, large);
        // SAFETY: the block has this layout since it shrank.
        unsafe { ReserveAllocator.dealloc(kept, layout(PAGE)) };
        // SAFETY: the block has this layout.
        unsafe { ReserveAllocator.dealloc(small, layout(1)) };
        let all = HEAP_PAGES * PAGE;
        assert!(take(all + 1).is_null());
        // All cells are free again, and serve requests that the reserve cannot.
        let whole = obtain(layout(all), refused);
        assert!(take(1).is_null());
        // SAFETY: the block has this layout.
        unsafe { ReserveAllocator.dealloc(whole, layout(all)) };
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
