//! Numbers that wrap: how wide they are on the wire, and which 64-bit number is meant.

use crate::config::ConfigError;

/// How many bits a sequence number has on the wire.
///
/// A number that wraps means the nearest one to what is known (RFC 1982). RFC 3550 (appendix A.1), RFC
/// 3711 (section 3.3.1) and RFC 9000 (appendix A.3) say the same for 16, 16 and up to 32 bits.
///
/// # Examples
///
/// ```
/// use steadfast_sequence_tracker::Width;
///
/// // After 65,534 comes 65,535, and then 0, which is 65,536.
/// assert_eq!(Width::U16.extend(0, 65_534), Some(65_536));
/// assert_eq!(Width::U16.extend(65_535, 65_536), Some(65_535));
/// // RFC 9000, A.3: after 0xa82f30ea, the 16 bits 0x9b32 are 0xa82f9b32.
/// assert_eq!(Width::U16.extend(0x9b32, 0xa82f_30ea + 1), Some(0xa82f_9b32));
/// assert_eq!(Width::U8.extend(256, 0), None, "not a number of 8 bits");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "u32", into = "u32"))]
pub struct Width {
    bits: u32,
    /// What every comparison needs.
    max: u64,
}

impl Width {
    /// 8 bits.
    pub const U8: Self = Self::of(8);
    /// 16 bits: RTP.
    pub const U16: Self = Self::of(16);
    /// 32 bits: TCP, `IPsec`, Kafka's producers.
    pub const U32: Self = Self::of(32);
    /// 48 bits: DTLS, SRTP's index.
    pub const U48: Self = Self::of(48);
    /// 64 bits: it never wraps.
    pub const U64: Self = Self::of(64);

    /// Any width.
    ///
    /// # Errors
    ///
    /// Unless it is 2 to 64 bits.
    pub const fn new(bits: u32) -> Result<Self, ConfigError> {
        match bits {
            2..=64 => Ok(Self::of(bits)),
            _ => Err(ConfigError::WidthOutOfRange { bits }),
        }
    }

    const fn of(bits: u32) -> Self {
        Self { bits, max: u64::MAX >> (64 - bits) }
    }

    /// The number of bits.
    pub const fn bits(self) -> u32 {
        self.bits
    }

    /// The largest number of this width.
    pub const fn max(self) -> u64 {
        self.max
    }

    /// The number whose low bits are `number` and that is nearest to `near`; of two that are equally
    /// near, the larger. `None` if `number` has more bits.
    pub const fn extend(self, number: u64, near: u64) -> Option<u64> {
        if number > self.max() {
            return None;
        }
        if self.bits == 64 {
            return Some(number);
        }
        let period = 1 << self.bits;
        let ahead = number.wrapping_sub(near) & self.max();
        // OK: `ahead` is below the period. At the ends of all numbers there is only one of the two.
        match (near.checked_add(ahead), near.checked_sub(period - ahead)) {
            (Some(up), None) => Some(up),
            (Some(up), Some(_)) if ahead <= period / 2 => Some(up),
            (_, down) => down,
        }
    }

    /// What is left of `number` on the wire.
    pub const fn truncate(self, number: u64) -> u64 {
        number & self.max()
    }
}
