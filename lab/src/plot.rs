//! Pictures: panels of series over axes, as SVG.
//!
//! ```
//! use steadfast_lab::plot::{Axis, Color, Figure, Panel};
//!
//! let squares = Panel::new(Axis::linear("x"), Axis::linear("x²"))
//!     .line("exactly", Color::Blue, [(0.0, 0.0), (1.0, 1.0), (2.0, 4.0)])
//!     .points("measured", Color::Orange, [(1.0, 1.1), (2.0, 3.8)]);
//! let svg = Figure::new("Squares").panel(squares).to_svg()?;
//! assert!(svg.starts_with("<svg"));
//! # Ok::<(), steadfast_lab::plot::DrawError>(())
//! ```
//!
//! What is drawn depends on what is given and on nothing else: neither on the fonts of the machine nor on
//! its locale. The colours are those of Okabe and Ito, which those who are colour-blind tell apart, too; a
//! picture has a ground of its own, which is dark where the reader prefers that.

mod axis;
mod draw;
mod scale;
mod style;

use std::path::Path;

pub use self::axis::Axis;
pub use self::style::Color;

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum DrawError {
    /// The drawing library's own words.
    #[error("the picture cannot be drawn: {0}")]
    Backend(String),
    /// It cannot be written.
    #[error("the picture cannot be written to {path}: {error}")]
    Write {
        /// Where to.
        path: String,
        /// Why.
        error: std::io::Error,
    },
}

/// A picture: a title, and panels below each other.
#[derive(Debug, Clone)]
pub struct Figure {
    title: String,
    note: Option<String>,
    width: u32,
    panels: Vec<Panel>,
}

impl Figure {
    /// A picture without panels, 860 pixels wide.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), note: None, width: 860, panels: Vec::new() }
    }

    /// A line below the title, smaller.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// So many pixels wide; its height is the sum of its panels'.
    #[must_use]
    pub const fn width(mut self, pixels: u32) -> Self {
        self.width = pixels;
        self
    }

    /// One more panel, below the others.
    #[must_use]
    pub fn panel(mut self, panel: Panel) -> Self {
        self.panels.push(panel);
        self
    }

    /// The picture, as text.
    ///
    /// # Errors
    ///
    /// If the drawing library has any.
    pub fn to_svg(&self) -> Result<String, DrawError> {
        draw::svg(self)
    }

    /// The picture, as a file.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn write_svg(&self, path: &Path) -> Result<(), DrawError> {
        std::fs::write(path, self.to_svg()?)
            .map_err(|error| DrawError::Write { path: path.display().to_string(), error })
    }
}

/// Two axes and what is drawn over them, the first series at the bottom.
#[derive(Debug, Clone)]
pub struct Panel {
    x: Axis,
    y: Axis,
    height: u32,
    series: Vec<Series>,
}

/// Points with a name and a colour.
#[derive(Debug, Clone)]
struct Series {
    label: String,
    color: Color,
    kind: Kind,
    points: Vec<(f64, f64)>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Line,
    Steps,
    Area,
    Points,
    /// Of this width, in the units of the axis.
    Bars(f64),
}

impl Panel {
    /// A panel without series, 220 pixels high.
    pub const fn new(x: Axis, y: Axis) -> Self {
        Self { x, y, height: 220, series: Vec::new() }
    }

    /// So many pixels high, with its labels.
    #[must_use]
    pub const fn height(mut self, pixels: u32) -> Self {
        self.height = pixels;
        self
    }

    /// From point to point.
    #[must_use]
    pub fn line(self, label: &str, color: Color, points: impl Into<Vec<(f64, f64)>>) -> Self {
        self.with(label, color, Kind::Line, points.into())
    }

    /// Each point's height until the next one.
    #[must_use]
    pub fn steps(self, label: &str, color: Color, points: impl Into<Vec<(f64, f64)>>) -> Self {
        self.with(label, color, Kind::Steps, points.into())
    }

    /// As steps, filled down to the axis: a histogram. The last point only ends it.
    #[must_use]
    pub fn area(self, label: &str, color: Color, points: impl Into<Vec<(f64, f64)>>) -> Self {
        self.with(label, color, Kind::Area, points.into())
    }

    /// A dot for each point.
    #[must_use]
    pub fn points(self, label: &str, color: Color, points: impl Into<Vec<(f64, f64)>>) -> Self {
        self.with(label, color, Kind::Points, points.into())
    }

    /// A bar for each point, with the point at the middle of its top, and so wide.
    #[must_use]
    pub fn bars(
        self,
        label: &str,
        color: Color,
        width: f64,
        points: impl Into<Vec<(f64, f64)>>,
    ) -> Self {
        self.with(label, color, Kind::Bars(width), points.into())
    }

    fn with(mut self, label: &str, color: Color, kind: Kind, mut points: Vec<(f64, f64)>) -> Self {
        points.retain(|(x, y)| x.is_finite() && y.is_finite());
        self.series.push(Series { label: label.to_owned(), color, kind, points });
        self
    }

    /// What all points span, with bars as wide and high as they are.
    fn extent(&self) -> [(f64, f64); 2] {
        let (mut x, mut y) = ((f64::MAX, f64::MIN), (f64::MAX, f64::MIN));
        for series in &self.series {
            let half = if let Kind::Bars(width) = series.kind { width / 2.0 } else { 0.0 };
            for &point in &series.points {
                x = (x.0.min(point.0 - half), x.1.max(point.0 + half));
                y = (y.0.min(point.1), y.1.max(point.1));
            }
        }
        [x, y]
    }
}
