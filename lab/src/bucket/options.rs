//! The settings of the bucket and of the made-up requests.

use std::time::Duration;

use clap::Args;
use steadfast_token_bucket::{Config, Rate};

use crate::arrivals::{Arrivals, MADE, Pattern};
use crate::quantity::{self, count, duration, rate_of};
use crate::trace::{Event, Id, TraceOptions};

/// What would a rate limit do?
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Tokens that come: 100/s, 90/m, 0.5/s, 33/100s
    #[arg(long, default_value = "100/s", value_parser = quantity::rate)]
    pub rate: Rate,
    /// The most tokens that can be there at once [default: the rate's tokens]
    #[arg(long)]
    pub burst: Option<u64>,
    /// The tokens at the beginning [default: the burst]
    #[arg(long)]
    pub initial: Option<u64>,
    /// The tokens that a request takes
    #[arg(long, default_value_t = 1)]
    pub cost: u64,
    /// A bucket for each id, of at most so many ids at once
    #[arg(long, value_name = "IDS")]
    pub per_id: Option<usize>,
    /// How made-up requests are spread
    #[arg(long, value_enum, default_value = "poisson", conflicts_with = "trace", help_heading = MADE)]
    pub arrivals: Pattern,
    /// How many made-up requests there are
    #[arg(long, default_value = "120/s", value_parser = quantity::rate, conflicts_with = "trace", help_heading = MADE)]
    pub asked: Rate,
    /// The distance of made-up bursts, or the length of a wave
    #[arg(long, default_value = "2s", value_parser = quantity::period, conflicts_with = "trace", help_heading = MADE)]
    pub every: Duration,
    /// For how long there are made-up requests
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration, conflicts_with = "trace", help_heading = MADE)]
    pub duration: Duration,
    /// What made-up requests are drawn from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    #[command(flatten)]
    #[expect(missing_docs, reason = "they have docs of their own")]
    pub trace: TraceOptions,
}

impl Options {
    pub(super) fn config(&self) -> Config {
        let mut config = Config::new(self.rate);
        if let Some(burst) = self.burst {
            config = config.burst(burst);
        }
        if let Some(initial) = self.initial {
            config = config.initial(initial);
        }
        config
    }

    pub(super) fn made(&self) -> impl Iterator<Item = Event> + 'static {
        Arrivals::new(self.arrivals, self.asked, self.every, self.duration, self.seed)
            .map(Event::at)
            .map(|event| Event { id: Some(Id::Number(0)), ..event })
    }

    pub(super) fn title(&self) -> String {
        let burst = self.config().limits().map_or(0, |limits| limits.burst());
        let each =
            if self.per_id.is_some() { "A bucket for each id that" } else { "A bucket that" };
        let cost = match self.cost {
            1 => String::new(),
            cost => format!("; a request takes {}", count(cost)),
        };
        let (burst, rate) = (count(burst), rate_of(self.rate, ""));
        format!("{each} holds {burst} tokens and gets {rate}{cost}")
    }

    pub(super) fn note(&self) -> String {
        let asked = rate_of(self.asked, "requests");
        let every = duration(self.every);
        self.trace.note(match self.arrivals {
            Pattern::Steady => format!("{asked}, at equal distances."),
            Pattern::Poisson => format!("{asked}, each whenever it likes."),
            Pattern::Bursts => format!("{asked}, in bursts every {every}."),
            Pattern::Wave => {
                format!("{asked}, more and fewer in waves of {every}.")
            }
        })
    }
}
