//! The table of the loom models is about those that there are.

use std::path::Path;

use steadfast_tests::models::{Bound, Model, TABLE, read_all};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a package of a workspace")
}

fn model(models: &[Model], name: &str) -> Bound {
    models.iter().find(|model| model.name == name).expect("it is there").bound
}

#[test]
fn the_table_has_a_row_for_every_model_and_no_other() {
    let table = std::fs::read_to_string(root().join(TABLE)).unwrap();
    let mut rows = Vec::new();
    let mut krate = "";
    for line in table.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            krate = name;
        } else if let Some(row) = line.strip_prefix("| ").filter(|row| row.ends_with(" s |")) {
            let cells: Vec<&str> = row.split(" | ").collect();
            rows.push(format!("{krate}: {} ({})", cells[0], cells[1]));
        }
    }
    let models = read_all(root()).unwrap();
    let there_are: Vec<String> = models
        .iter()
        .map(|model| format!("{}: {} ({})", model.krate, model.claim(), model.bound.of(3)))
        .collect();
    assert_eq!(rows, there_are);
}

#[test]
fn bounds_are_those_that_the_models_set() {
    let models = read_all(root()).unwrap();
    assert_eq!(model(&models, "probe_limit_is_never_exceeded"), Bound::One);
    assert_eq!(model(&models, "a_seat_that_the_last_leaves_is_not_the_next_ones"), Bound::OneLess);
    assert_eq!(model(&models, "two_takers_never_double_spend"), Bound::Full);
    assert_eq!([Bound::One, Bound::OneLess, Bound::Full].map(|bound| bound.of(3)), [1, 2, 3]);
}
