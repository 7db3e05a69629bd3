//! JSON lines: an object a line, of which some fields are looked at.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Reason;
use super::cells::{Cells, Names, Part, parts_of};

pub(super) fn cells<'a>(line: &'a str, names: &Names) -> Result<Cells<'a>, Reason> {
    let not_json = |error: serde_json::Error| Reason::NotJson(error.to_string());
    let mut reader = serde_json::Deserializer::from_str(line);
    let raw = Fields { names }.deserialize(&mut reader).map_err(not_json)?;
    reader.end().map_err(not_json)?;
    let mut cells = Cells::default();
    for part in Part::ALL {
        if let Some(value) = raw[part as usize] {
            cells.set(part, text_of(value.get(), part)?);
        }
    }
    Ok(cells)
}

/// A string's content, or the number or word as it is written.
fn text_of(value: &str, part: Part) -> Result<Cow<'_, str>, Reason> {
    match value.as_bytes().first() {
        Some(b'"') => match serde_json::from_str(value) {
            Ok(text) => Ok(Cow::Owned(text)),
            Err(error) => Err(Reason::NotJson(error.to_string())),
        },
        Some(b'{' | b'[') => Err(Reason::NotScalar(part.name())),
        Some(b'n') | None => Ok(Cow::Borrowed("")),
        Some(_) => Ok(Cow::Borrowed(value)),
    }
}

/// The fields that are parts, as they are written.
struct Fields<'n> {
    names: &'n Names,
}

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = [Option<&'de RawValue>; 4];

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = [Option<&'de RawValue>; 4];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = [None; 4];
        let mut ranks = [usize::MAX; 4];
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let mut value = None;
            for (part, rank) in parts_of(&name, self.names) {
                if rank < ranks[part as usize] {
                    let raw = match value {
                        Some(raw) => raw,
                        None => *value.insert(map.next_value()?),
                    };
                    (found[part as usize], ranks[part as usize]) = (Some(raw), rank);
                }
            }
            if value.is_none() {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}
