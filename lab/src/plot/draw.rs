//! From a figure to SVG.

use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color as _, IntoFont, IntoTextStyle, TRANSPARENT, TextStyle};

use super::scale::Scale;
use super::style::{DARK, FAMILY, GRID, GROUND, INK, SMALL, TEXT, TITLE, width_of};
use super::{DrawError, Figure, Kind, Panel, Series};

type Drawn = Result<(), DrawError>;
type Svg<'a> = plotters::backend::SVGBackend<'a>;
type Chart<'a, 'b> = ChartContext<'a, Svg<'b>, Cartesian2d<Scale, Scale>>;

/// What is above the first panel: the title, and with a note that.
const HEADS: [u32; 2] = [34, 52];
/// What is above each panel: its legend.
const LEGEND: i32 = 24;

/// Of the drawing library's errors only the words are kept.
fn told(error: impl std::fmt::Display) -> DrawError {
    DrawError::Backend(error.to_string())
}

pub(super) fn svg(figure: &Figure) -> Result<String, DrawError> {
    let head = HEADS[usize::from(figure.note.is_some())];
    let height = head + figure.panels.iter().map(|panel| panel.height).sum::<u32>() + 6;
    let mut text = String::new();
    {
        let root = Svg::with_string(&mut text, (figure.width, height)).into_drawing_area();
        root.fill(&GROUND).map_err(told)?;
        write(&root, &figure.title, (14, 10), TITLE, HPos::Left)?;
        if let Some(note) = &figure.note {
            write(&root, note, (14, 34), SMALL, HPos::Left)?;
        }
        let (_, mut rest) = root.split_vertically(head);
        for panel in &figure.panels {
            let (area, below) = rest.split_vertically(panel.height);
            draw_panel(&area, panel)?;
            rest = below;
        }
        root.present().map_err(told)?;
    }
    Ok(finish(&text, &figure.title))
}

/// Names the picture for those who do not see it, and adds the rules for dark pages.
fn finish(svg: &str, title: &str) -> String {
    let title = title.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    let begin = format!("<svg role=\"img\" aria-label=\"{title}\" ");
    let svg = svg.replacen("<svg ", &begin, 1);
    // Without the line ends that the library puts around texts, and the blanks behind the last points.
    let svg =
        svg.replace(" \"", "\"").replace(">\n", ">").replace("\n</", "</").replace("><", ">\n<");
    let svg = svg.replacen(">\n", &format!(">\n{DARK}"), 1);
    // The name of a file may have what XML cannot say, not even by a number (XML 1.0, 2.2).
    let is_sayable = |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
    svg.replace(|c| !is_sayable(c), "\u{FFFD}")
}

fn style(size: f64, horizontal: HPos) -> TextStyle<'static> {
    let font = (FAMILY, size).into_font().color(&INK);
    font.pos(Pos::new(horizontal, VPos::Top))
}

fn write(
    area: &DrawingArea<Svg<'_>, Shift>,
    text: &str,
    at: (i32, i32),
    size: f64,
    horizontal: HPos,
) -> Drawn {
    area.draw(&Text::new(text.to_owned(), at, style(size, horizontal))).map_err(told)
}

fn draw_panel(area: &DrawingArea<Svg<'_>, Shift>, panel: &Panel) -> Drawn {
    let [x, y] = panel.extent();
    let (x, y) = (panel.x.scale(x, true), panel.y.scale(y, false));
    legend(area, panel)?;
    let mut chart = ChartBuilder::on(area)
        .margin_top(LEGEND)
        .margin_right(18)
        .margin_left(8)
        .x_label_area_size(if panel.x.label().is_empty() { 22 } else { 38 })
        .y_label_area_size(58)
        .build_cartesian_2d(x.clone(), y.clone())
        .map_err(told)?;
    let text = (FAMILY, SMALL).into_text_style(area).color(&INK);
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(INK)
        .label_style(text.clone())
        .axis_desc_style(text)
        .x_desc(panel.x.label())
        .y_desc(panel.y.label())
        .draw()
        .map_err(told)?;
    for series in &panel.series {
        draw_series(&mut chart, series, &x, &y)?;
    }
    Ok(())
}

/// Names and colours, in a row from the right.
fn legend(area: &DrawingArea<Svg<'_>, Shift>, panel: &Panel) -> Drawn {
    let (width, _) = area.dim_in_pixel();
    let mut right = i32::try_from(width).unwrap_or(i32::MAX) - 18;
    for series in panel.series.iter().rev().filter(|series| !series.label.is_empty()) {
        right -= width_of(&series.label, TEXT);
        write(area, &series.label, (right, 5), TEXT, HPos::Left)?;
        let mark = match series.kind {
            Kind::Line | Kind::Steps | Kind::Ranges => [(right - 20, 10), (right - 6, 13)],
            Kind::Area | Kind::Points | Kind::Bars(_) => [(right - 18, 6), (right - 6, 17)],
        };
        area.draw(&Rectangle::new(mark, series.color.rgb().filled())).map_err(told)?;
        right -= 36;
    }
    Ok(())
}

fn draw_series(chart: &mut Chart<'_, '_>, series: &Series, x: &Scale, y: &Scale) -> Drawn {
    let color = series.color.rgb();
    let is_cut = matches!(series.kind, Kind::Steps | Kind::Area | Kind::Ranges);
    // Nothing is at the bottom of a logarithmic axis, if it is a step of a stair or the end of a range; else it
    // is nowhere.
    let place = |&(at, value): &(f64, f64)| {
        let value = if is_cut && !y.has(value) { y.low() } else { value };
        (x.has(at) && y.has(value)).then_some((at, value))
    };
    let points: Vec<_> = series.points.iter().filter_map(place).collect();
    if points.is_empty() {
        return Ok(());
    }
    let area = chart.plotting_area();
    let bottom = y.low().max(0.0).min(y.high());
    match series.kind {
        Kind::Line => area.draw(&PathElement::new(points, color.stroke_width(2))),
        Kind::Steps => area.draw(&PathElement::new(stairs(&points), color.stroke_width(2))),
        Kind::Area => {
            let (first, last) = (points[0].0, points[points.len() - 1].0);
            let mut outline = stairs(&points);
            outline.extend([(last, bottom), (first, bottom)]);
            area.draw(&Polygon::new(outline, color.filled()))
        }
        Kind::Points => {
            points.iter().try_for_each(|point| area.draw(&Circle::new(*point, 2, color.filled())))
        }
        Kind::Ranges => points.chunks_exact(2).try_for_each(|ends| {
            area.draw(&PathElement::new(ends.to_vec(), color.stroke_width(2)))
        }),
        Kind::Bars(width) => points.iter().try_for_each(|(at, top)| {
            let corners = [(at - width / 2.0, *top), (at + width / 2.0, bottom)];
            area.draw(&Rectangle::new(corners, color.filled()))
        }),
    }
    .map_err(told)
}

/// Each point's height until the next, without the corners where the height stays.
fn stairs(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut corners: Vec<(f64, f64)> = Vec::new();
    let mut height = f64::NAN;
    for &(x, y) in points {
        #[expect(clippy::float_cmp, reason = "only what is the very same can be left out")]
        if y != height {
            if !corners.is_empty() {
                corners.push((x, height));
            }
            corners.push((x, y));
            height = y;
        }
    }
    if let Some(&(x, _)) = points.last() {
        corners.push((x, height));
    }
    corners
}
