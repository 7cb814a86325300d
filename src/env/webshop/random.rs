//! The random draws of CPython's `random` and of numpy's `RandomState`, bit for bit.
//!
//! Goals and prices of WebShop depend on them: the original draws both from Python's global generator,
//! and verl-agent picks goals with numpy's. Both are the Mersenne Twister MT19937 with different ways of
//! seeding it and of making numbers from its output.

const WORDS: usize = 624;
const MIDDLE: usize = 397;

/// The generator MT19937: 32 random bits at a time.
#[derive(Debug, Clone)]
struct Twister {
    words: Box<[u32; WORDS]>,
    next: usize,
}

impl Twister {
    /// Seeded by one word (`init_genrand`).
    fn new(seed: u32) -> Self {
        let mut words = Box::new([0u32; WORDS]);
        words[0] = seed;
        for i in 1..WORDS {
            let before = words[i - 1];
            words[i] =
                1_812_433_253u32.wrapping_mul(before ^ (before >> 30)).wrapping_add(i as u32);
        }
        Self { words, next: WORDS }
    }

    /// Seeded by a list of words (`init_by_array`).
    fn from_words(key: &[u32]) -> Self {
        let mut twister = Self::new(19_650_218);
        let words = &mut twister.words;
        let (mut i, mut j) = (1, 0);
        for _ in 0..WORDS.max(key.len()) {
            let mixed = (words[i - 1] ^ (words[i - 1] >> 30)).wrapping_mul(1_664_525);
            words[i] = (words[i] ^ mixed).wrapping_add(key[j]).wrapping_add(j as u32);
            i += 1;
            j = (j + 1) % key.len();
            if i == WORDS {
                words[0] = words[WORDS - 1];
                i = 1;
            }
        }
        for _ in 1..WORDS {
            let mixed = (words[i - 1] ^ (words[i - 1] >> 30)).wrapping_mul(1_566_083_941);
            words[i] = (words[i] ^ mixed).wrapping_sub(i as u32);
            i += 1;
            if i == WORDS {
                words[0] = words[WORDS - 1];
                i = 1;
            }
        }
        words[0] = 0x8000_0000;
        twister
    }

    fn draw(&mut self) -> u32 {
        if self.next == WORDS {
            self.refill();
        }
        let mut y = self.words[self.next];
        self.next += 1;
        y ^= y >> 11;
        y ^= (y << 7) & 0x9d2c_5680;
        y ^= (y << 15) & 0xefc6_0000;
        y ^ (y >> 18)
    }

    fn refill(&mut self) {
        for i in 0..WORDS {
            let y = (self.words[i] & 0x8000_0000) | (self.words[(i + 1) % WORDS] & 0x7fff_ffff);
            let odd = if y & 1 == 1 { 0x9908_b0df } else { 0 };
            self.words[i] = self.words[(i + MIDDLE) % WORDS] ^ (y >> 1) ^ odd;
        }
        self.next = 0;
    }
}

/// Python's `random.Random`.
#[derive(Debug, Clone)]
pub struct PythonRandom(Twister);

impl PythonRandom {
    /// `random.seed(seed)`.
    pub fn new(seed: u64) -> Self {
        let (low, high) = (seed as u32, (seed >> 32) as u32);
        match high {
            0 => Self(Twister::from_words(&[low])),
            _ => Self(Twister::from_words(&[low, high])),
        }
    }

    /// `random()`: a number in [0, 1) with 53 random bits.
    pub fn random(&mut self) -> f64 {
        let (high, low) = (self.0.draw() >> 5, self.0.draw() >> 6);
        (f64::from(high) * 67_108_864.0 + f64::from(low)) / 9_007_199_254_740_992.0
    }

    /// `uniform(a, b)`.
    pub fn uniform(&mut self, a: f64, b: f64) -> f64 {
        a + (b - a) * self.random()
    }

    /// `_randbelow(n)`: a whole number below `n`, at most 2^32 - 1; 0 for 0.
    pub fn below(&mut self, n: usize) -> usize {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        if n == 0 {
            return 0;
        }
        // The shift is below 32, as n has at least one bit.
        let shift = n.leading_zeros();
        loop {
            let drawn = self.0.draw() >> shift;
            if drawn < n {
                return drawn as usize;
            }
        }
    }

    /// `shuffle(list)`.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for i in (1..list.len()).rev() {
            let j = self.below(i + 1);
            list.swap(i, j);
        }
    }

    /// The indices that `sample(list of n, count)` takes; all of them where there are fewer.
    pub fn sample(&mut self, n: usize, count: usize) -> Vec<usize> {
        let count = count.min(n);
        let mut largest_pool = 21;
        if count > 5 {
            // 4^ceil(log4(3·count)).
            let mut power = 1;
            while power < 3 * count {
                power *= 4;
            }
            largest_pool += power;
        }
        let mut taken = Vec::with_capacity(count);
        if n <= largest_pool {
            let mut pool: Vec<usize> = (0..n).collect();
            for i in 0..count {
                let j = self.below(n - i);
                taken.push(pool[j]);
                pool[j] = pool[n - i - 1];
            }
            return taken;
        }
        let mut seen = std::collections::HashSet::with_capacity(count);
        while taken.len() < count {
            let j = self.below(n);
            if seen.insert(j) {
                taken.push(j);
            }
        }
        taken
    }

    /// `choices(list of n, k=count)`, as indices.
    pub fn choices(&mut self, n: usize, count: usize) -> Vec<usize> {
        (0..count).map(|_| (self.random() * n as f64) as usize).collect()
    }
}

/// numpy's `RandomState`, as far as verl-agent uses it to pick the goals of a batch.
#[derive(Debug, Clone)]
pub struct NumpyRandom(Twister);

impl NumpyRandom {
    /// `RandomState(seed)`.
    pub fn new(seed: u32) -> Self {
        Self(Twister::new(seed))
    }

    /// `choice(range(n), count, replace=False)`: the first `count` of a permutation of 0 to `n`.
    pub fn choice(&mut self, n: usize, count: usize) -> Vec<usize> {
        let mut list: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            let i32bit = u32::try_from(i).unwrap_or(u32::MAX);
            let mask = u32::MAX >> i32bit.leading_zeros();
            let j = loop {
                let drawn = self.0.draw() & mask;
                if drawn <= i32bit {
                    break drawn as usize;
                }
            };
            list.swap(i, j);
        }
        list.truncate(count);
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_numbers_of_seed_0_are_those_of_python() {
        let mut random = PythonRandom::new(0);
        assert_eq!(random.random(), 0.844_421_851_525_048_1);
        assert_eq!(random.random(), 0.757_954_402_940_302_5);
    }

    #[test]
    fn a_sample_of_more_than_there_is_takes_all_and_below_zero_is_zero() {
        let mut random = PythonRandom::new(1);
        let mut sample = random.sample(3, 50);
        sample.sort_unstable();
        assert_eq!(sample, [0, 1, 2]);
        assert_eq!(random.below(0), 0);
        assert_eq!(NumpyRandom::new(1).choice(0, 3), [0usize; 0]);
    }
}
