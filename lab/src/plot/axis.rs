//! What an axis says: its label, its kind of scale, its ends.

use super::scale::Scale;

/// An axis, before it knows what is drawn over it.
#[derive(Debug, Clone)]
pub struct Axis {
    label: String,
    kind: Kind,
    range: Option<(f64, f64)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Linear,
    Log,
    Time,
    Names(Vec<String>),
}

impl Axis {
    /// Even steps. It begins at 0 unless something is below.
    pub fn linear(label: impl Into<String>) -> Self {
        Self::of(label, Kind::Linear)
    }

    /// Powers of ten. What is not above 0 is not drawn.
    pub fn log(label: impl Into<String>) -> Self {
        Self::of(label, Kind::Log)
    }

    /// Seconds, written as seconds, minutes, hours or days.
    pub fn time(label: impl Into<String>) -> Self {
        Self::of(label, Kind::Time)
    }

    /// A place for each name, the first at 0, the second at 1, and so on.
    pub fn names<N: Into<String>>(
        label: impl Into<String>,
        names: impl IntoIterator<Item = N>,
    ) -> Self {
        Self::of(label, Kind::Names(names.into_iter().map(Into::into).collect()))
    }

    fn of(label: impl Into<String>, kind: Kind) -> Self {
        Self { label: label.into(), kind, range: None }
    }

    /// From `low` to `high`, whatever is drawn; what is outside is cut off.
    #[must_use]
    pub const fn range(mut self, low: f64, high: f64) -> Self {
        self.range = Some((low, high));
        self
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    /// The scale for what spans `extent`; `fits` to its ends, or with room above.
    pub(super) fn scale(&self, extent: (f64, f64), fits: bool) -> Scale {
        let (low, high) = self.range.unwrap_or_else(|| self.ends(extent, fits));
        Scale::new(self.kind.clone(), low, high)
    }

    fn ends(&self, (low, high): (f64, f64), fits: bool) -> (f64, f64) {
        if let Kind::Names(names) = &self.kind {
            #[expect(clippy::cast_precision_loss, reason = "a few names")]
            return (-0.5, names.len() as f64 - 0.5);
        }
        // Nothing was drawn.
        if low > high {
            return (if self.kind == Kind::Log { 0.1 } else { 0.0 }, 1.0);
        }
        if self.kind == Kind::Log {
            let low = if low > 0.0 { low } else { high.max(1.0) / 1e6 };
            let (low, high) = (low.log10().floor(), high.max(low).log10().ceil());
            return (10f64.powf(low), 10f64.powf(high.max(low + 1.0)));
        }
        if fits {
            return if low < high { (low, high) } else { (low, low + 1.0) };
        }
        let room = (high - low.min(0.0)) * 0.06;
        (low.min(0.0), if high > 0.0 || low < 0.0 { high + room } else { 1.0 })
    }
}
