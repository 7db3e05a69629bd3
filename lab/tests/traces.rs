//! Reading traces: what is used, what is not, and what is said about it.

use std::io::{Cursor, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use steadfast_lab::trace::{
    Event, FIRST, Format, Id, Outcome, Reader, TraceOptions, Unit, Use, Wanted,
};

const ALL: Wanted = Wanted { id: true, sequence: true, outcome: Use::Needed };

fn reader(text: impl AsRef<[u8]>, options: &TraceOptions, wanted: Wanted) -> Reader {
    Reader::of(Cursor::new(text.as_ref().to_vec()), options, wanted).expect("a cursor can be read")
}

/// The events, and the bad lines with their reasons.
fn read(text: impl AsRef<[u8]>, wanted: Wanted) -> (Vec<Event>, Vec<(u64, String)>) {
    let mut reader = reader(text, &TraceOptions::default(), wanted);
    let events = reader.by_ref().collect();
    let bad = reader.bad().first().iter().map(|(line, why)| (*line, why.to_string())).collect();
    (events, bad)
}

/// The times, in milliseconds after the first.
fn millis(events: &[Event]) -> Vec<i128> {
    let at = |event: &Event| i128::from(event.at.as_nanos()) - i128::from(FIRST.as_nanos());
    events.iter().map(|event| at(event) / 1_000_000).collect()
}

#[test]
fn csv_with_a_header_is_read_by_its_names() {
    let text =
        "Status,SEQ,other,timestamp,id\n200,7,x,1700000000.5,\"a,b\"\n503,8,y,1700000001,17\n";
    let (events, bad) = read(text, ALL);
    assert_eq!(bad, []);
    assert_eq!(millis(&events), [0, 500]);
    assert_eq!(events[0].id, Some(Id::Text("a,b".into())));
    assert_eq!(events[1].id, Some(Id::Number(17)));
    assert_eq!([events[0].sequence, events[1].sequence], [Some(7), Some(8)]);
    assert_eq!(events[0].outcome, Some(Outcome::Success));
    assert_eq!(events[1].outcome, Some(Outcome::Failure));
}

#[test]
fn csv_without_a_header_is_time_id_sequence_number_and_outcome() {
    let (events, bad) = read("5;x;1;ok\n6;y;2;slow\n", ALL);
    assert_eq!(bad, []);
    assert_eq!(millis(&events), [0, 1_000]);
    assert_eq!(events[1].outcome, Some(Outcome::Slow));
}

#[test]
fn json_lines_are_read_by_the_same_names() {
    let text = concat!(
        "{\"ts\": 1700000000123, \"nested\": {\"id\": [1]}, \"id\": \"a\\u0062\", \"seq\": 1, \"ok\": true}\n",
        "{\"ok\": false, \"seq\": 2, \"id\": 18446744073709551615, \"ts\": \"1700000000124\"}\n",
    );
    let (events, bad) = read(text, ALL);
    assert_eq!(bad, []);
    assert_eq!(millis(&events), [0, 1]);
    assert_eq!(events[0].id, Some(Id::Text("ab".into())));
    assert_eq!(events[1].id, Some(Id::Number(u64::MAX)));
    assert_eq!(events[1].outcome, Some(Outcome::Failure));
}

#[test]
fn the_better_of_two_names_wins() {
    let (events, _) = read("date,time\n5,7\n6,9\n", Wanted::default());
    assert_eq!(millis(&events), [0, 2_000]);
}

#[test]
fn columns_can_be_named_and_numbered() {
    let by = |time: &str, header| {
        let time_column = Some(time.to_owned());
        let options = TraceOptions { time_column, header, ..TraceOptions::default() };
        let mut reader = reader("when,who\n1,x\n3,y\n", &options, Wanted::default());
        let events: Vec<_> = reader.by_ref().collect();
        (millis(&events), reader.bad().count())
    };
    assert_eq!(by("when", None), (vec![0, 2_000], 0));
    assert_eq!(by("1", Some(true)), (vec![0, 2_000], 0));
    assert_eq!(by("1", None), (vec![0, 2_000], 1), "the header is a bad line then");
    assert_eq!(by("wen", None), (vec![], 0), "a name that is not there is no other column");
}

#[test]
fn a_name_that_an_option_gives_is_no_other_part() {
    for name in ["id", "trade_id", "Message_ID"] {
        let sequence_column = Some(name.to_owned());
        let options = TraceOptions { sequence_column, ..TraceOptions::default() };
        let wanted = Wanted { sequence: true, ..Wanted::default() };
        let csv = format!("time,{name}\n1,7\n2,8\n");
        let json = format!("{{\"time\":1,\"{name}\":7}}\n{{\"{name}\":8,\"time\":2}}\n");
        for text in [csv, json] {
            let mut reader = reader(&text, &options, wanted);
            let numbers: Vec<_> = reader.by_ref().map(|event| event.sequence).collect();
            assert_eq!((numbers, reader.bad().count()), (vec![Some(7), Some(8)], 0), "{text}");
        }
    }
}

#[test]
fn two_options_may_name_one_column() {
    let both = || Some("n".to_owned());
    let (id_column, sequence_column) = (both(), both());
    let options = TraceOptions { id_column, sequence_column, ..TraceOptions::default() };
    let wanted = Wanted { id: true, sequence: true, ..Wanted::default() };
    for text in ["t,n\n1,7\n", "{\"t\":1,\"n\":7}\n"] {
        let event = reader(text, &options, wanted).next().expect("it is read");
        assert_eq!((event.id, event.sequence), (Some(Id::Number(7)), Some(7)), "{text}");
    }
}

#[test]
fn a_given_name_is_found_in_any_case_of_letters_but_best_in_its_own() {
    let first = |text: &str| {
        let id_column = Some("client".to_owned());
        let options = TraceOptions { id_column, ..TraceOptions::default() };
        let wanted = Wanted { id: true, ..Wanted::default() };
        reader(text, &options, wanted).next().and_then(|event| event.id)
    };
    assert_eq!(first("TIME,CLIENT\n1,7\n"), Some(Id::Number(7)));
    assert_eq!(first("time,CLIENT,client\n1,7,8\n"), Some(Id::Number(8)));
    assert_eq!(first("{\"time\":1,\"Client\":7}\n"), Some(Id::Number(7)));
}

#[test]
fn a_column_that_is_not_there_is_told_once_and_nothing_is_read() {
    for (name, header, is_header) in [
        ("wen", None, false),
        ("wen", Some(true), true),
        ("3", Some(true), true),
        ("0", None, false),
    ] {
        let time_column = Some(name.to_owned());
        let options = TraceOptions { time_column, header, ..TraceOptions::default() };
        let mut reader = reader("when,who\n1,x\n3,y\n", &options, Wanted::default());
        assert_eq!((reader.next(), reader.bad().count()), (None, 0), "{name}");
        let missing = reader.no_column().expect("it is told");
        assert_eq!((missing.name.as_str(), missing.is_header), (name, is_header));
    }
}

#[test]
fn gzip_is_known_by_its_first_bytes_and_may_have_many_members() {
    let packed = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text.as_bytes()).expect("into memory");
        encoder.finish().expect("into memory")
    };
    let whole = [packed("time\n1\n2"), packed(".5\n4\n")].concat();
    let (events, bad) = read(&whole, Wanted::default());
    assert_eq!((millis(&events), bad), (vec![0, 1_500, 3_000], vec![]));

    let (events, bad) = read(&whole[..whole.len() - 9], Wanted::default());
    assert!(millis(&events).starts_with(&[0]), "what came before the end is used");
    assert_eq!(bad.len(), 1);
    assert!(bad[0].1.contains("breaks off"), "{bad:?}");
}

#[test]
fn marks_and_line_ends_of_other_systems_are_no_part_of_a_cell() {
    let (events, bad) =
        read("\u{FEFF}time,id\r\n1,a\r\n2,b", Wanted { id: true, ..Wanted::default() });
    assert_eq!(bad, []);
    assert_eq!(events[1].id, Some(Id::Text("b".into())));
    assert_eq!(events[0].id, Some(Id::Text("a".into())));
    let (events, bad) = read("\u{FEFF}{\"t\":1}\r\n{\"t\":2}\r\n", Wanted::default());
    assert_eq!((millis(&events), bad), (vec![0, 1_000], vec![]));
}

#[test]
fn each_bad_line_is_counted_with_its_number_and_its_reason() {
    let text = "time,seq,ok\n1,1,ok\nNaN,2,ok\n2,-1,ok\n\n3,3,perhaps\n,4,ok\n4,\"5,ok\n5,18446744073709551616,ok\n6\n7,8,err\n";
    let (events, bad) = read(text, Wanted { id: false, ..ALL });
    assert_eq!(millis(&events), [0, 6_000]);
    let lines: Vec<_> = bad.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [3, 4, 6, 7, 8, 9, 10]);
    let words =
        ["no time", "no sequence", "no outcome", "has no time", "quote", "no sequence", "has no"];
    for ((_, reason), word) in bad.iter().zip(words) {
        assert!(reason.contains(word), "{reason} should say {word:?}");
    }
}

#[test]
fn bad_json_is_counted_like_bad_csv() {
    let text =
        "{\"t\":1}\n{\"t\":}\n[1]\n{\"t\":[2]}\n{\"t\":null}\n{\"t\":3} x\n\u{1F980}\n{\"t\":4}";
    let (events, bad) = read(text, Wanted::default());
    assert_eq!(millis(&events), [0, 3_000]);
    assert_eq!(bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4, 5, 6, 7]);
}

#[test]
fn bytes_that_are_no_text_and_lines_without_end_are_bad_lines() {
    let mut text = b"1\n\xFF\xFE\n".to_vec();
    text.extend(vec![b'7'; 3 << 20]);
    text.extend(b"\n2\n");
    let (events, bad) = read(&text, Wanted::default());
    assert_eq!(millis(&events), [0, 1_000]);
    assert_eq!(bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3]);
    assert!(bad[1].1.contains("longer"), "{bad:?}");
}

#[test]
fn a_cell_that_is_no_time_is_shown_in_part() {
    let (_, bad) = read("1\n".to_owned() + &"é".repeat(100_000), Wanted::default());
    assert!(bad[0].1.contains("éé…") && bad[0].1.len() < 200, "{bad:?}");
}

#[test]
fn ten_bad_lines_are_kept_and_all_are_counted() {
    let mut reader = reader(
        "1\n".to_owned() + &"x\n".repeat(1_000),
        &TraceOptions::default(),
        Wanted::default(),
    );
    assert_eq!(reader.by_ref().count(), 1);
    assert_eq!((reader.bad().count(), reader.bad().first().len()), (1_000, 10));
}

#[test]
fn an_empty_trace_has_no_lines_of_any_kind() {
    for text in ["", "\n", "\u{FEFF}", "\r\n\r\n", "time\n"] {
        let mut reader = reader(text, &TraceOptions::default(), Wanted::default());
        assert_eq!(reader.next(), None);
        assert_eq!((reader.usable(), reader.bad().count()), (0, 0), "{text:?}");
    }
}

#[test]
fn times_in_two_units_are_not_mixed_up() {
    let (events, bad) = read("1700000000000\n1700000000\n1700000001000\n", Wanted::default());
    assert_eq!(millis(&events), [0, 1_000]);
    assert_eq!(bad[0].0, 2);
    assert!(bad[0].1.contains("seconds") && bad[0].1.contains("--unit"), "{bad:?}");
}

#[test]
fn times_that_step_back_are_used_and_counted() {
    let mut reader = reader("10\n12\n11\n9\n12\n", &TraceOptions::default(), Wanted::default());
    let events: Vec<_> = reader.by_ref().collect();
    assert_eq!(millis(&events), [0, 2_000, 1_000, -1_000, 2_000]);
    assert_eq!(reader.backwards(), 2);
}

#[test]
fn times_too_far_from_the_first_are_bad_lines() {
    let options = TraceOptions { unit: Some(Unit::S), ..TraceOptions::default() };
    let text = "2000000000\n1000000000\n1e11\n1e300\n99999999999999999999999999999999999999999\n2000000001\n";
    let mut reader = reader(text, &options, Wanted::default());
    assert_eq!(millis(&reader.by_ref().collect::<Vec<_>>()), [0, 1_000]);
    assert_eq!(reader.bad().count(), 4);
}

#[test]
fn a_format_that_is_given_is_not_guessed() {
    let options = TraceOptions { format: Format::Jsonl, ..TraceOptions::default() };
    let mut reader = reader("1,2\n{\"t\":1}\n", &options, Wanted::default());
    assert_eq!(reader.by_ref().count(), 1);
    assert_eq!(reader.bad().first()[0].0, 1);
}

#[test]
fn rfc_3339_is_read_with_its_offset() {
    let text = "2026-01-31T23:59:59.25Z\n2026-02-01T01:00:00+01:00\n2026-02-01 00:00:01Z\n2026-02-30T00:00:00Z\n";
    let (events, bad) = read(text, Wanted::default());
    assert_eq!(millis(&events), [0, 750, 1_750]);
    assert_eq!(bad[0].0, 4);
}

#[test]
fn status_codes_are_outcomes_by_whose_fault_they_are() {
    let of = |text| Outcome::of(text);
    for (text, outcome) in [
        ("200", Outcome::Success),
        ("404", Outcome::Success),
        ("429", Outcome::Failure),
        ("503", Outcome::Failure),
        ("ERROR", Outcome::Failure),
        ("canceled", Outcome::Ignored),
    ] {
        assert_eq!(of(text), Some(outcome), "{text}");
    }
    for text in ["0", "1", "99", "600", "-1", "yes?", "2e2"] {
        assert_eq!(of(text), None, "{text}");
    }
}

#[test]
fn one_stream_of_many_can_be_picked() {
    let options = TraceOptions { only: Some("17".to_owned()), ..TraceOptions::default() };
    let text = "time,id\n1,16\n2,17\n3,x\n4,17\n5,\n";
    let mut reader = reader(text, &options, Wanted::default());
    assert_eq!(millis(&reader.by_ref().collect::<Vec<_>>()), [1_000, 3_000]);
    assert_eq!((reader.usable(), reader.others(), reader.bad().count()), (2, 2, 1));
}

#[test]
fn a_first_line_with_a_number_is_no_header_though_it_has_a_name() {
    let (events, bad) = read("5,ok,1,ok\n6,id,2,ok\n", ALL);
    assert_eq!((millis(&events), bad), (vec![0, 1_000], vec![]));
}

#[test]
fn a_long_trace_takes_no_more_memory_than_a_line() {
    // It is made as it is read: the whole of it is never there.
    struct Endless(u64);
    impl std::io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0 == 100_000 {
                return Ok(0);
            }
            self.0 += 1;
            let line = format!("{}\n", self.0);
            buffer[..line.len()].copy_from_slice(line.as_bytes());
            Ok(line.len())
        }
    }
    let reader = Reader::of(Endless(0), &TraceOptions::default(), Wanted::default());
    let last = reader.expect("it can be read").last().expect("it has lines");
    let span = last.at.saturating_duration_since(FIRST);
    assert_eq!(span, Duration::from_secs(99_999));
}
