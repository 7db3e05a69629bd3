//! Colours, sizes of text, and what a picture looks like in the dark.

use plotters::style::RGBColor;

/// A colour of the palette of Okabe and Ito, or grey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// What was asked for, or is normal.
    Blue,
    /// The second.
    Orange,
    /// What went well.
    Green,
    /// What did not.
    Vermillion,
    /// The fifth.
    Purple,
    /// The sixth.
    Sky,
    /// What is behind the others.
    Grey,
}

impl Color {
    /// All that are told apart, in an order for series that mean nothing in particular.
    pub const SERIES: [Self; 6] =
        [Self::Blue, Self::Orange, Self::Green, Self::Vermillion, Self::Purple, Self::Sky];

    pub(super) const fn rgb(self) -> RGBColor {
        match self {
            Self::Blue => RGBColor(0x00, 0x72, 0xB2),
            Self::Orange => RGBColor(0xE6, 0x9F, 0x00),
            Self::Green => RGBColor(0x00, 0x9E, 0x73),
            Self::Vermillion => RGBColor(0xD5, 0x5E, 0x00),
            Self::Purple => RGBColor(0xCC, 0x79, 0xA7),
            Self::Sky => RGBColor(0x56, 0xB4, 0xE9),
            Self::Grey => RGBColor(0x8C, 0x95, 0x9F),
        }
    }
}

pub(super) const GROUND: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
pub(super) const INK: RGBColor = RGBColor(0x24, 0x29, 0x2F);
pub(super) const GRID: RGBColor = RGBColor(0xD0, 0xD7, 0xDE);

/// Rules that beat the colours above where a dark page is preferred. They are the only ones for which
/// another one is needed: the palette can be read on both grounds.
pub(super) const DARK: &str = "<style>@media (prefers-color-scheme:dark){\
    [fill=\"#FFFFFF\"]{fill:#0D1117}[fill=\"#24292F\"]{fill:#E6EDF3}[stroke=\"#24292F\"]{stroke:#8B949E}\
    [stroke=\"#D0D7DE\"]{stroke:#30363D}[fill=\"#0072B2\"]{fill:#3D9BE0}[stroke=\"#0072B2\"]{stroke:#3D9BE0}}\
    </style>\n";

pub(super) const FAMILY: &str = "sans-serif";
/// The library divides sizes by 1.24 before it writes them.
pub(super) const TITLE: f64 = 16.0 * 1.24;
pub(super) const TEXT: f64 = 12.0 * 1.24;
pub(super) const SMALL: f64 = 11.0 * 1.24;

/// About how wide a text is, in pixels, at a size: no font is asked, so that it is the same everywhere.
pub(super) fn width_of(text: &str, size: f64) -> i32 {
    let narrow = text.chars().filter(|c| " .,:;'|!()[]fijlrt1".contains(*c)).count();
    let wide = text.chars().count() - narrow;
    // OK: labels are short.
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "see above")]
    let width = ((wide as f64 * 0.60 + narrow as f64 * 0.34) * size / 1.24) as i32;
    width
}
