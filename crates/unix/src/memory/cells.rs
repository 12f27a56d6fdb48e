//! Blocks in memory of a fixed size, which is divided into cells.

use std::alloc::Layout;
use std::cell::UnsafeCell;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One word of the bitmap describes the cells of a page.
pub(super) const PAGE: usize = 4096;
const CELLS: usize = usize::BITS as usize;
/// 64 bytes with 64-bit words, 128 with 32-bit words.
pub(super) const CELL: usize = PAGE / CELLS;

/// The number of cells that hold this many bytes.
pub(super) const fn cells(size: usize) -> usize {
    size.div_ceil(CELL)
}

/// Mapped memory for [`Cells`]. Zeros are a valid value: all cells are free. Pages that
/// were never used take no memory.
#[repr(C)]
pub(super) struct CellStore<const PAGES: usize> {
    /// A set bit stands for a used cell.
    bitmap: [AtomicUsize; PAGES],
    pages: Pages<PAGES>,
}

/// Aligned as the largest cell.
#[repr(align(128))]
struct Pages<const PAGES: usize>(UnsafeCell<[[u8; PAGE]; PAGES]>);

impl<const PAGES: usize> CellStore<PAGES> {
    pub(super) fn cells(&self) -> Cells<'_> {
        Cells {
            bitmap: &self.bitmap,
            start: self.pages.0.get().cast(),
        }
    }
}

/// The cells of a [`CellStore`].
#[derive(Clone, Copy)]
pub(super) struct Cells<'a> {
    bitmap: &'a [AtomicUsize],
    start: *mut u8,
}

impl Cells<'_> {
    /// A block of memory, not zeroed. None without room, or if the request is aligned
    /// to more than a cell.
    pub(super) fn take(&self, layout: Layout) -> Option<NonNull<u8>> {
        if layout.align() > CELL {
            return None;
        }
        let first = self.take_cells(cells(layout.size()))?;
        NonNull::new(self.start.wrapping_add(first * CELL))
    }

    /// The number of the first cell of a block. None for other memory.
    pub(super) fn find(&self, memory: *mut u8) -> Option<usize> {
        let offset = memory.addr().checked_sub(self.start.addr())?;
        (offset < self.bitmap.len() * PAGE).then_some(offset / CELL)
    }

    /// Frees cells in a row.
    pub(super) fn free(&self, first: usize, count: usize) {
        let (mut cell, end) = (first, first + count);
        while cell < end {
            let bit = cell % CELLS;
            let part = (end - cell).min(CELLS - bit);
            if let Some(word) = self.bitmap.get(cell / CELLS) {
                word.fetch_and(!(mask(part) << bit), Ordering::Release);
            }
            cell += part;
        }
    }

    /// Takes cells in a row. Returns the number of the first.
    fn take_cells(&self, count: usize) -> Option<usize> {
        if count > CELLS {
            return self.take_pages(count);
        }
        for (page, word) in self.bitmap.iter().enumerate() {
            let mut used = word.load(Ordering::Relaxed);
            while let Some(first) = free_run(used, count) {
                let taken = used | (mask(count) << first);
                match word.compare_exchange(used, taken, Ordering::Acquire, Ordering::Relaxed) {
                    Ok(_) => return Some(page * CELLS + first),
                    Err(now) => used = now,
                }
            }
        }
        None
    }

    /// Takes cells of pages in a row that are wholly free.
    fn take_pages(&self, count: usize) -> Option<usize> {
        let windows = self.bitmap.windows(count.div_ceil(CELLS));
        let mut firsts = windows
            .enumerate()
            .map(|(page, window)| (page * CELLS, window));
        firsts.find_map(|(first, window)| {
            for (number, word) in window.iter().enumerate() {
                let before = number * CELLS;
                let taken = mask(CELLS.min(count - before));
                let taken = word.compare_exchange(0, taken, Ordering::Acquire, Ordering::Relaxed);
                if taken.is_err() {
                    self.free(first, before);
                    return None;
                }
            }
            Some(first)
        })
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

    const PAGES: usize = 5;

    fn store() -> &'static CellStore<PAGES> {
        let memory = crate::memory::mapping::map(size_of::<CellStore<PAGES>>()).unwrap();
        // SAFETY: memory that stays mapped. Zeros are a valid value.
        unsafe { memory.cast().as_ref() }
    }

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
    fn each_cell_is_given_once() {
        let store = store();
        let given = store.cells();
        let mut used = [false; PAGES * CELLS];
        let mut blocks = Vec::new();
        let mut take = |count| {
            let first = given.take_cells(count)?;
            for cell in &mut used[first..first + count] {
                assert!(!std::mem::replace(cell, true));
            }
            blocks.push((first, count));
            Some(first)
        };
        assert_eq!(take(1), Some(0));
        assert_eq!(take(CELLS + 1), Some(CELLS));
        assert_eq!(take(CELLS - 1), Some(1));
        assert_eq!(take(CELLS), Some(3 * CELLS));
        assert_eq!(take(2 * CELLS), None);
        for count in (1..=CELLS).rev() {
            while take(count).is_some() {}
        }
        assert!(used.iter().all(|&used| used));
        for (first, count) in blocks {
            given.free(first, count);
        }
        assert_eq!(given.take_cells(PAGES * CELLS + 1), None);
        assert_eq!(given.take_cells(PAGES * CELLS), Some(0));
    }

    #[test]
    fn only_the_given_cells_are_freed() {
        let store = store();
        let given = store.cells();
        assert_eq!(given.take_cells(2 * CELLS), Some(0));
        assert_eq!(given.take_cells(5), Some(2 * CELLS));
        given.free(2 * CELLS + 2, 3);
        given.free(2 * CELLS, 0);
        assert_eq!(given.take_cells(3), Some(2 * CELLS + 2));
        given.free(CELLS - 1, 2);
        assert_eq!(given.take_cells(CELLS), Some(3 * CELLS));
        assert_eq!(given.take_cells(1), Some(CELLS - 1));
        assert_eq!(given.take_cells(1), Some(CELLS));
    }

    #[test]
    fn blocks_are_aligned_and_found() {
        let store = store();
        let given = store.cells();
        let layout = |size, align| Layout::from_size_align(size, align).unwrap();
        assert_eq!(given.take(layout(1, 2 * CELL)), None);
        for size in [1, CELL, CELL + 1, PAGE, PAGE + 1] {
            let memory = given.take(layout(size, CELL)).unwrap().as_ptr();
            assert_eq!(memory.addr() % CELL, 0);
            let first = given.find(memory).unwrap();
            assert_eq!(given.start.wrapping_add(first * CELL), memory);
            given.free(first, cells(size));
        }
        assert_eq!(given.find(given.start.wrapping_sub(1)), None);
        assert_eq!(given.find(given.start.wrapping_add(PAGES * PAGE)), None);
    }
}
