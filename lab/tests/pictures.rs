//! Pictures: those of the documentation, and what all have in common.

use std::path::Path;

use steadfast_lab::pictures::{PICTURES, draw};
use steadfast_lab::plot::{Axis, Color, Figure, Panel};

/// The largest that a picture of the documentation may be.
const LARGEST: usize = 60_000;

#[test]
fn the_pictures_of_the_documentation_are_what_the_program_draws() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures");
    for (name, arguments) in PICTURES {
        let drawn = draw(arguments).expect("it is drawn");
        let committed = std::fs::read_to_string(folder.join(name).with_extension("svg"));
        assert!(
            committed.is_ok_and(|committed| committed == drawn),
            "{name}.svg is another: run `cargo run -p steadfast-lab -- pictures docs/pictures`, and look at it"
        );
        assert!(drawn.len() < LARGEST, "{name} has {} bytes", drawn.len());
    }
    let files = std::fs::read_dir(folder).expect("the folder is there");
    assert_eq!(files.count(), PICTURES.len(), "no picture is left over");
}

fn svg(panel: Panel) -> String {
    Figure::new("A <title> & \"more\"").panel(panel).to_svg().expect("it is drawn")
}

#[test]
fn titles_and_labels_are_text_and_no_markup() {
    let svg = svg(Panel::new(Axis::linear("a < b"), Axis::linear("c & d")).line(
        "<g>",
        Color::Blue,
        [(0.0, 1.0)],
    ));
    for text in ["A &lt;title&gt; &amp; &quot;more&quot;", "a &lt; b", "c &amp; d", "&lt;g&gt;"] {
        assert!(svg.contains(text), "{text}");
    }
    assert!(!svg.contains("<g>") && !svg.contains("<title>"));
}

#[test]
fn characters_that_a_picture_cannot_have_are_replaced() {
    let panel = Panel::new(Axis::linear("x\u{8}"), Axis::linear("y")).line(
        "\u{0}",
        Color::Blue,
        [(0.0, 1.0)],
    );
    let figure = Figure::new("a\u{1}b\u{FFFE}c").note("d\u{1B}e").panel(panel);
    let svg = figure.to_svg().expect("it is drawn");
    assert!(svg.contains("a\u{FFFD}b\u{FFFD}c") && svg.contains("d\u{FFFD}e"));
    let odd = |c: &char| (c.is_control() && *c != '\n') || *c == '\u{FFFE}';
    assert_eq!(svg.chars().find(odd), None);
}

#[test]
fn numbers_that_are_none_are_not_drawn() {
    let wild = [(f64::NAN, 1.0), (1.0, f64::INFINITY), (f64::NEG_INFINITY, 0.0)];
    for axis in [Axis::linear, Axis::log, Axis::time] {
        let panel = Panel::new(axis("x"), axis("y"));
        let svg = svg(panel.points("dots", Color::Green, wild).line("line", Color::Blue, wild));
        assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("<circle"));
    }
}

#[test]
fn what_is_too_small_for_a_logarithmic_axis_is_left_out_of_lines_and_at_the_bottom_of_steps() {
    let points = [(1.0, 0.0), (2.0, 100.0), (3.0, 0.0), (4.0, 10.0)];
    let dots = svg(Panel::new(Axis::linear("x"), Axis::log("y")).points("", Color::Sky, points));
    assert_eq!(dots.matches("<circle").count(), 2);
    let stairs = svg(Panel::new(Axis::linear("x"), Axis::log("y")).area("", Color::Sky, points));
    assert_eq!(stairs.matches("<polygon").count(), 1);
}

#[test]
fn a_logarithmic_axis_has_its_ticks_at_powers_of_ten() {
    let points = [(1.0, 1.0), (2.0, 100_000.0)];
    let svg = svg(Panel::new(Axis::linear("x"), Axis::log("y")).line("", Color::Blue, points));
    for tick in [">1<", ">10<", ">100<", ">1,000<", ">10,000<", ">100,000<"] {
        assert!(svg.contains(tick), "{tick}");
    }
}

#[test]
fn bars_stand_over_their_names() {
    let panel = Panel::new(Axis::names("", ["ours", "theirs"]), Axis::linear("ns"));
    let panel = panel.bars("", Color::Purple, 0.8, [(0.0, 3.0), (1.0, 7.0)]);
    let svg = svg(panel.ranges(
        "",
        Color::Grey,
        [(0.0, 2.0, 4.0), (1.0, f64::NAN, 8.0), (1.0, 6.0, 9.0)],
    ));
    assert!(svg.contains(">ours<") && svg.contains(">theirs<"));
    assert_eq!(svg.matches("#CC79A7").count(), 2);
    assert_eq!(svg.matches("#8C959F").count(), 2, "a range that is none is left out");
}

#[test]
fn times_are_in_the_unit_that_suits_their_span() {
    for (seconds, label) in [
        (2e-4, "µs"),
        (0.1, "ms"),
        (60.0, " s<"),
        (3_000.0, "min"),
        (40_000.0, " h<"),
        (1e6, " d<"),
    ] {
        let svg = svg(Panel::new(Axis::time(""), Axis::linear("")).line(
            "",
            Color::Blue,
            [(0.0, 0.0), (seconds, 1.0)],
        ));
        assert!(svg.contains(label), "{seconds} s: {label}");
    }
}

#[test]
fn a_picture_has_a_ground_a_name_and_colours_for_the_dark() {
    let svg = svg(Panel::new(Axis::linear("x"), Axis::linear("y")));
    assert!(svg.starts_with("<svg role=\"img\" aria-label="));
    assert!(svg.contains("prefers-color-scheme:dark") && svg.contains("fill=\"#FFFFFF\""));
}
