//! Maps by the numbers that we give ourselves: they are spread already, so that hashing them costs one multiplication.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map by numbers of our own making; nobody else can choose them to collide.
pub(crate) type ByNumber<V> = HashMap<u64, V, BuildHasherDefault<Spread>>;

/// Multiplies by an odd constant (Fibonacci hashing: Knuth, The Art of Computer Programming, volume 3, section 6.4).
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(self.0 ^ u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(26);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_numbers_in_a_row_are_told_apart() {
        let map: ByNumber<u64> = (0..1_000_000).map(|number| (number, number)).collect();
        assert!(map.len() == 1_000_000 && map.get(&77) == Some(&77) && !map.contains_key(&1_000_000));
    }
}
