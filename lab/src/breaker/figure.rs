//! The picture of a breaker.

use super::{Bin, Tally};
use crate::plot::{Axis, Color, Figure, Panel};
use crate::timeline::Timeline;

pub(super) fn figure(figure: Figure, timeline: &Timeline<Bin>, tally: &Tally) -> Figure {
    let mut calls = Panel::new(Axis::time(""), Axis::linear("calls a second"))
        .area("rejected", Color::Grey, timeline.per_second(|bin| bin.calls))
        .area("failed", Color::Vermillion, timeline.per_second(|bin| bin.admitted));
    if tally.ignored > 0 {
        let ignored = timeline.per_second(|bin| bin.ignored + bin.succeeded);
        calls = calls.area("ignored", Color::Sky, ignored);
    }
    let succeeded = timeline.per_second(|bin| bin.succeeded);
    let calls = calls.area("succeeded", Color::Blue, succeeded);
    let width = timeline.width();
    let share = |time: std::time::Duration| Some((time.as_secs_f64() / width).min(1.0));
    let state = Panel::new(Axis::time(""), Axis::linear("share of time").range(0.0, 1.0))
        .area("half-open", Color::Sky, timeline.points(|bin| share(bin.open + bin.half_open)))
        .area("open", Color::Orange, timeline.points(|bin| share(bin.open)));
    figure.panel(calls).panel(state.height(130))
}
