//! What an id is told from others by.

#[cfg(feature = "alloc")]
use alloc::string::String;
#[cfg(feature = "alloc")]
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash, Hasher};

use siphasher::sip::SipHasher13;

/// What a window remembers of an id: 64 bits of it, or 128.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Fingerprint {
    /// The low half: all of it, unless the window is [wide](crate::Config::wide). Its bits should all be as
    /// good as random.
    pub low: u64,
    /// The high half: 0, unless the window is wide.
    pub high: u64,
}

/// Which bits of the lower half say the shard: there are at most 1,024.
#[cfg(feature = "wait")]
const SHARD_SHIFT: u32 = 22;

impl Fingerprint {
    /// The lowest bits.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
    pub(crate) const fn tag(self, tags: u32) -> u32 {
        // OK: as the reason says.
        self.low as u32 & tags
    }

    /// One of so many lines: the upper half of the low half, as a fraction.
    #[inline]
    pub(crate) const fn home(self, lines: u32) -> usize {
        // OK: a product of 32 bits each; its upper half is less than the number of lines.
        (((self.low >> 32) * lines as u64) >> 32) as usize
    }

    /// One of so many shards, a power of two: by the highest bits of the lower half. The line is chosen by the
    /// upper half, and the tag is made of the lowest bits, so that ids of one shard differ in both as all ids do.
    /// (In shards of up to some 200 ids, some of the tag's bits are the shard's: the others will do.)
    #[cfg(feature = "wait")]
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "less than the number of shards")]
    pub(crate) const fn shard(self, shards: usize) -> usize {
        // OK: as the reason says.
        (self.low as u32 >> SHARD_SHIFT) as usize & (shards - 1)
    }
}

/// Something that can be told from others: what is deduplicated by.
///
/// | kind | types | fingerprint | is it exact? |
/// |---|---|---|---|
/// | numbers | integers of up to 64 bits, `char` | mixed with a secret, one to one | yes |
/// | large numbers | `u128`, `i128` | mixed with a secret, one to one, in a [wide](crate::Config::wide) window; otherwise hashed | if wide |
/// | texts and bytes | `str`, `String`, `[u8]`, `[u8; N]`, `Vec<u8>` | hashed with a secret | no |
/// | anything that is `Hash` | [`Hashed`] | hashed with a secret | no |
///
/// *Exact* is said of ids of one kind: no two of them are ever taken for each other. Those of one kind with the
/// same value are the same id, whatever their types: `7_u8` and `7_i64`, `'a'` and `97`, `-1_i32` and `u64::MAX`,
/// an array of bytes and a slice of it.
///
/// Ids of two kinds are two ids, and be it one value: `7_u64` and `7_u128`. That a new id is taken for one that
/// is remembered, if one of them is hashed or they are of two kinds, has probability `n / 2⁶⁴`, where `n` is how
/// many are remembered: with a million of them, once in 18 million million new ids; in a wide window `n / 2¹²⁸`.
///
/// # Examples
///
/// An id of one's own that is a number:
///
/// ```
/// use core::hash::BuildHasher;
/// use steadfast_deduplicator::{Fingerprint, Id, Ids};
///
/// struct OrderId(u64);
///
/// impl Id for OrderId {
///     fn fingerprint<S: BuildHasher>(&self, ids: &Ids<S>) -> Fingerprint {
///         ids.exact(self.0)
///     }
/// }
/// ```
///
/// A UUID is a number of 128 bits; its bytes would be hashed:
///
/// ```
/// # #[cfg(feature = "std")] {
/// use steadfast_deduplicator::Config;
///
/// let uuid = *b"\x67\xe5\x50\x44\x10\xb1\x42\x6f\x92\x47\xbb\x68\x0e\x5f\xe0\xc8";
/// let seen = Config::new(1_000).wide(true).build()?;
/// assert!(seen.insert(&u128::from_be_bytes(uuid)).is_fresh());
/// assert!(!seen.insert(&0x67e5_5044_10b1_426f_9247_bb68_0e5f_e0c8_u128).is_fresh());
/// # }
/// # Ok::<(), steadfast_deduplicator::ConfigError>(())
/// ```
pub trait Id {
    /// What it is remembered by: best made by one of the methods of [`Ids`].
    fn fingerprint<S: BuildHasher>(&self, ids: &Ids<S>) -> Fingerprint;
}

/// Makes fingerprints of ids, with a secret, so that nobody can choose ids that look alike or crowd one
/// place.
///
/// The secret of integers is drawn from the hasher. Their mixing is no cipher: it keeps out whoever does not
/// see the window's memory or time its every operation.
#[derive(Clone)]
pub struct Ids<S = SipKeys> {
    hasher: S,
    keys: [u64; 3],
    is_wide: bool,
}

impl<S: BuildHasher> Ids<S> {
    /// With the secret of a hasher; fingerprints of 128 bits if it is wide.
    pub fn new(hasher: S, is_wide: bool) -> Self {
        let keys = [1_u64, 2, 3].map(|key| hasher.hash_one(key));
        Self { hasher, keys, is_wide }
    }

    /// Of an id, by its own account of it: of which the low half is all, unless they are wide.
    #[inline]
    pub(crate) fn of<I: Id + ?Sized>(&self, id: &I) -> Fingerprint {
        let made = id.fingerprint(self);
        if self.is_wide { made } else { Fingerprint { high: 0, ..made } }
    }

    /// Of up to 64 bits: no two have the same.
    #[inline]
    pub const fn exact(&self, id: u64) -> Fingerprint {
        Fingerprint { low: self.mix(id), high: 0 }
    }

    /// Of up to 128 bits: no two have the same, in a wide window. Otherwise it is hashed.
    #[inline]
    pub fn exact_wide(&self, id: u128) -> Fingerprint {
        if !self.is_wide {
            return self.hash(&id);
        }
        #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
        // OK: as the reason says.
        let (low, high) = (id as u64, (id >> 64) as u64);
        // Each step can be undone: first the low half, then the high one.
        let high = self.mix(high ^ self.keys[2]);
        Fingerprint { low: self.mix(low ^ high), high }
    }

    /// Of anything.
    #[inline]
    pub fn hash<T: Hash + ?Sized>(&self, id: &T) -> Fingerprint {
        let low = self.hasher.hash_one(id);
        let high = if self.is_wide {
            // A second function: the same bytes after others.
            let mut hasher = self.hasher.build_hasher();
            hasher.write_u64(self.keys[2]);
            id.hash(&mut hasher);
            hasher.finish()
        } else {
            0
        };
        // Mixed, for hashers whose bits are not all as good.
        Fingerprint { low: self.mix(low), high }
    }

    /// A bijection: xor, product with an odd number, and xor with what is above can be undone.
    #[inline]
    const fn mix(&self, id: u64) -> u64 {
        let [a, b, _] = self.keys;
        let x = (id ^ a).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let x = ((x ^ x >> 32) ^ b).wrapping_mul(b | 1);
        let x = (x ^ x >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x ^ x >> 32
    }
}

#[cfg(feature = "wait")]
impl<S> Ids<S> {
    /// What it hashes with.
    pub(crate) const fn hasher(&self) -> &S {
        &self.hasher
    }

    /// Whether its fingerprints have 128 bits.
    pub(crate) const fn is_wide(&self) -> bool {
        self.is_wide
    }
}

impl<S> fmt::Debug for Ids<S> {
    /// Nothing of the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ids").field("is_wide", &self.is_wide).finish_non_exhaustive()
    }
}

/// Anything that is `Hash`, as an id.
///
/// # Examples
///
/// ```
/// use steadfast_deduplicator::{Config, Hashed};
///
/// # #[cfg(feature = "std")] {
/// let seen = Config::new(1_000).build()?;
/// assert!(seen.insert(&Hashed(("orders", 17, "EU"))).is_fresh());
/// assert!(!seen.insert(&Hashed(("orders", 17, "EU"))).is_fresh());
/// # }
/// # Ok::<(), steadfast_deduplicator::ConfigError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Hashed<T: ?Sized>(pub T);

impl<T: Hash + ?Sized> Id for Hashed<T> {
    #[inline]
    fn fingerprint<S: BuildHasher>(&self, ids: &Ids<S>) -> Fingerprint {
        ids.hash(&self.0)
    }
}

impl<T: Id + ?Sized> Id for &T {
    #[inline]
    fn fingerprint<S: BuildHasher>(&self, ids: &Ids<S>) -> Fingerprint {
        (**self).fingerprint(ids)
    }
}

/// It is made already. Of a window that is not wide, the low half says all: see `Ids::of`.
impl Id for Fingerprint {
    #[inline]
    fn fingerprint<S: BuildHasher>(&self, _ids: &Ids<S>) -> Fingerprint {
        *self
    }
}

/// Hashed, whatever its length: the same id as the slice of it.
impl<const N: usize> Id for [u8; N] {
    #[inline]
    fn fingerprint<S: BuildHasher>(&self, ids: &Ids<S>) -> Fingerprint {
        self.as_slice().fingerprint(ids)
    }
}

macro_rules! id {
    ($($type:ty: |$ids:ident, $id:ident| $fingerprint:expr,)*) => {$(
        impl Id for $type {
            #[inline]
            fn fingerprint<S: BuildHasher>(&self, $ids: &Ids<S>) -> Fingerprint {
                let $id = self;
                $fingerprint
            }
        }
    )*};
}

id! {
    u8: |ids, id| ids.exact(u64::from(*id)),
    u16: |ids, id| ids.exact(u64::from(*id)),
    u32: |ids, id| ids.exact(u64::from(*id)),
    u64: |ids, id| ids.exact(*id),
    // OK: no target has more.
    usize: |ids, id| ids.exact(*id as u64),
    // A negative number of any width is the same id.
    i8: |ids, id| ids.exact(u64::from_ne_bytes(i64::from(*id).to_ne_bytes())),
    i16: |ids, id| ids.exact(u64::from_ne_bytes(i64::from(*id).to_ne_bytes())),
    i32: |ids, id| ids.exact(u64::from_ne_bytes(i64::from(*id).to_ne_bytes())),
    i64: |ids, id| ids.exact(u64::from_ne_bytes(id.to_ne_bytes())),
    // OK: no target has more.
    isize: |ids, id| ids.exact(u64::from_ne_bytes((*id as i64).to_ne_bytes())),
    char: |ids, id| ids.exact(u64::from(u32::from(*id))),
    u128: |ids, id| ids.exact_wide(*id),
    i128: |ids, id| ids.exact_wide(u128::from_ne_bytes(id.to_ne_bytes())),
    str: |ids, id| ids.hash(id),
    [u8]: |ids, id| ids.hash(id),
}

#[cfg(feature = "alloc")]
id! {
    String: |ids, id| ids.hash(id.as_str()),
    Vec<u8>: |ids, id| ids.hash(id.as_slice()),
}

/// The secret of a hasher: SipHash-1-3 (Aumasson and Bernstein 2012), as the standard library's maps have.
///
/// With the `std` feature, [`new`](SipKeys::new) draws one for each deduplicator. Without it there is no
/// `new`: a constant would be known to everybody.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SipKeys([u64; 2]);

impl SipKeys {
    /// A secret that nobody knows, different each time.
    #[cfg(feature = "std")]
    pub fn new() -> Self {
        let random = std::hash::RandomState::new();
        Self([random.hash_one(0_u64), random.hash_one(1_u64)])
    }

    /// The secret of a number.
    pub fn from_seed(seed: u64) -> Self {
        let hash = |key| {
            let mut hasher = SipHasher13::new_with_keys(seed, key);
            hasher.write_u64(seed);
            hasher.finish()
        };
        Self([hash(0), hash(1)])
    }
}

#[cfg(feature = "std")]
impl Default for SipKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl BuildHasher for SipKeys {
    type Hasher = SipState;

    #[inline]
    fn build_hasher(&self) -> SipState {
        SipState(SipHasher13::new_with_keys(self.0[0], self.0[1]))
    }
}

/// What [`SipKeys`] hash with: SipHash-1-3 under way.
#[derive(Clone)]
pub struct SipState(SipHasher13);

impl Hasher for SipState {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0.finish()
    }
}

impl fmt::Debug for SipState {
    /// Nothing of the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SipState").finish_non_exhaustive()
    }
}

impl fmt::Debug for SipKeys {
    /// Nothing of the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SipKeys").finish_non_exhaustive()
    }
}
