//! A map in one sorted vector, which reserves memory ahead of its growth.
//!
//! `BTreeMap` allocates nodes while it inserts, and cannot report a shortage.

use nix::errno::Errno;
use unix::memory;

#[derive(Clone, Debug)]
pub(crate) struct SortedMap<K, V> {
    entries: Vec<(K, V)>,
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        SortedMap {
            entries: Vec::new(),
        }
    }
}

impl<K: Copy + Ord, V> SortedMap<K, V> {
    /// Reserves memory for `additional` more keys. Errors: ENOMEM.
    pub(crate) fn try_reserve(&mut self, additional: usize) -> Result<(), Errno> {
        memory::try_reserve(&mut self.entries, additional)
    }

    fn find(&self, key: K) -> Result<usize, usize> {
        self.entries.binary_search_by_key(&key, |&(key, _)| key)
    }

    pub(crate) fn get(&self, key: K) -> Option<&V> {
        let index = self.find(key).ok()?;
        self.entries.get(index).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut V> {
        let index = self.find(key).ok()?;
        self.entries.get_mut(index).map(|(_, value)| value)
    }

    pub(crate) fn contains(&self, key: K) -> bool {
        self.find(key).is_ok()
    }

    /// Sets the value of a key. A new key allocates only beyond the capacity that
    /// [`SortedMap::try_reserve`] has made.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        match self.find(key) {
            Ok(index) => {
                if let Some(entry) = self.entries.get_mut(index) {
                    entry.1 = value;
                }
            }
            Err(index) => self.entries.insert(index, (key, value)),
        }
    }

    pub(crate) fn remove(&mut self, key: K) -> Option<V> {
        let index = self.find(key).ok()?;
        Some(self.entries.remove(index).1)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &V)> {
        self.entries.iter().map(|(key, value)| (*key, value))
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.entries.iter_mut().map(|(_, value)| value)
    }

    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&mut V) -> bool) {
        self.entries.retain_mut(|(_, value)| keep(value));
    }

    /// The first key after another one, or the first key of all. A loop over these
    /// keys may change the map.
    pub(crate) fn next_key(&self, last: Option<K>) -> Option<K> {
        let index = match last.map(|last| self.find(last)) {
            None => 0,
            Some(Ok(index)) => index + 1,
            Some(Err(index)) => index,
        };
        self.entries.get(index).map(|&(key, _)| key)
    }
}

#[cfg(test)]
impl<K, V> SortedMap<K, V> {
    pub(crate) fn capacity(&self) -> usize {
        self.entries.capacity()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_sorted_and_unique() {
        let mut map = SortedMap::default();
        assert_eq!(map.len(), 0);
        for (key, value) in [(5, 'a'), (1, 'b'), (9, 'c'), (5, 'd'), (3, 'e')] {
            map.insert(key, value);
        }
        let pairs: Vec<_> = map.iter().map(|(key, &value)| (key, value)).collect();
        assert_eq!(pairs, [(1, 'b'), (3, 'e'), (5, 'd'), (9, 'c')]);
        assert_eq!((map.len(), map.get(3), map.get(4)), (4, Some(&'e'), None));
        assert_eq!((map.remove(3), map.remove(3)), (Some('e'), None));
        assert!(map.contains(5) && !map.contains(3));
        map.retain(|value| *value != 'd');
        assert_eq!(map.len(), 2);
        map.values_mut().for_each(|value| *value = 'x');
        assert_eq!(map.get_mut(9), Some(&mut 'x'));
    }

    #[test]
    fn next_key_survives_changes() {
        let mut map = SortedMap::default();
        for key in [1, 3, 5] {
            map.insert(key, ());
        }
        assert_eq!(map.next_key(None), Some(1));
        map.remove(1);
        map.insert(2, ());
        assert_eq!(map.next_key(Some(1)), Some(2));
        assert_eq!(map.next_key(Some(2)), Some(3));
        assert_eq!(map.next_key(Some(4)), Some(5));
        assert_eq!(map.next_key(Some(5)), None);
    }

    #[test]
    fn reserved_keys_do_not_allocate() {
        let mut map = SortedMap::default();
        assert_eq!(map.try_reserve(100), Ok(()));
        let capacity = map.capacity();
        (0..100).rev().for_each(|key| map.insert(key, ()));
        assert_eq!(map.capacity(), capacity);
        assert_eq!(map.try_reserve(usize::MAX / 64), Err(Errno::ENOMEM));
    }
}
