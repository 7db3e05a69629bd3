//! Makes the tables and pictures of `benches/README.md`, all in one run.
//!
//! `cargo build --profile bench -p steadfast-benches --bins && target/release/book [PART …]`
//!
//! A part is `ratios`, `waiting`, `slowest`, `scaling` or `instructions`; without one all are made.
//! `ratios:breaker` makes those of the parts that have this argument. In the page, what is made stands
//! between `<!-- PART: ARGUMENTS -->` and `<!-- end -->`; the words around it are written by hand.
//! `instructions` needs valgrind.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use steadfast_benches::counting::{self, Result};
use steadfast_benches::scaling::Picture;
use steadfast_benches::{cases, deduplicator, ratios, waiting};

/// What follows what is made.
const END: &str = "<!-- end -->";

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = folder.join("README.md");
    let (mut at, mut made) = (0, 0);
    loop {
        // Read and written anew for each part, so that whatever stops it leaves what is done.
        let text = std::fs::read_to_string(&page)?;
        let Some(place) = Place::next(&text, at)? else { break };
        at = place.end;
        if !wanted.is_empty() && !wanted.iter().any(|wanted| place.is(wanted)) {
            continue;
        }
        eprintln!("{} {}", place.part, place.arguments.join(" "));
        let content = make(place.part, &place.arguments, folder)?;
        // A table begins behind an empty line.
        let made_text = format!("\n\n{}\n\n", content.trim_end());
        let text = format!("{}{made_text}{}", &text[..place.begin], &text[place.end..]);
        at = place.begin + made_text.len();
        std::fs::write(&page, text)?;
        made += 1;
    }
    if made == 0 {
        return Err(format!("{} has no such part: {wanted:?}", page.display()).into());
    }
    Ok(())
}

/// Where something that is made stands in a page.
struct Place<'a> {
    part: &'a str,
    arguments: Vec<String>,
    /// Behind the line that says what it is.
    begin: usize,
    /// In front of the line that ends it.
    end: usize,
}

impl<'a> Place<'a> {
    /// Whether it is a part that was asked for, as `PART` or `PART:ARGUMENT`.
    fn is(&self, wanted: &str) -> bool {
        match wanted.split_once(':') {
            None => self.part == wanted,
            Some((part, argument)) => {
                self.part == part && self.arguments.iter().any(|one| one == argument)
            }
        }
    }

    /// The next one from there.
    fn next(text: &'a str, from: usize) -> Result<Option<Self>> {
        let Some(open) = text[from..].find("<!-- ").map(|at| from + at) else { return Ok(None) };
        let close = text[open..].find(" -->").ok_or("a comment without an end")? + open;
        let inside = &text[open + "<!-- ".len()..close];
        let begin = close + " -->".len();
        if inside == "end" {
            return Self::next(text, begin);
        }
        let (part, arguments) = inside.split_once(':').unwrap_or((inside, ""));
        let end = text[begin..].find(END).ok_or_else(|| format!("no end of {inside}"))? + begin;
        let arguments = arguments.split_whitespace().map(str::to_owned).collect();
        Ok(Some(Self { part, arguments, begin, end }))
    }
}

fn make(part: &str, arguments: &[String], folder: &Path) -> Result<String> {
    match part {
        "ratios" => {
            let groups = ratios::measure(&cases(), arguments, None, |group| {
                eprintln!("  {}", group.name);
            });
            Ok(ratios::table(&groups))
        }
        "waiting" => Ok(waiting::table(Duration::from_secs(1), 3, None, None)),
        "slowest" => Ok(deduplicator::answers()),
        "scaling" => scaling(arguments, folder),
        "instructions" => counting::table(arguments),
        _ => Err(format!("the page has a part that nobody makes: {part}").into()),
    }
}

fn scaling(names: &[String], folder: &Path) -> Result<String> {
    let plots = folder.join("plots");
    std::fs::create_dir_all(&plots)?;
    let mut text = String::new();
    if names.is_empty() {
        return Err("scaling of what?".into());
    }
    for name in names {
        let picture = Picture::named(name).ok_or_else(|| format!("no picture {name}"))?;
        picture.write(&plots)?;
        let _ = writeln!(text, "![{name}](plots/{name}.svg)\n\n{}", picture.tables());
    }
    Ok(text)
}
