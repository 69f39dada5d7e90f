//! JSON that two readers read alike: no object of it has a name twice.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::sync::Arc;

/// Names of one object; more refuse the text.
const MOST_NAMES: usize = 128;

/// A value of JSON whose objects have each name once.
pub(super) enum Json {
    Null,
    Bool(bool),
    /// As it is written where it is whole, and as what it counts.
    Number(Arc<str>, f64),
    Text(Arc<str>),
    List(Vec<Json>),
    Object(Object),
}

pub(super) struct Object(pub(super) Vec<(String, Json)>);

impl Object {
    /// A value by its name.
    pub(super) fn get(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }
}

impl Object {
    /// A text by its name; `None` where it is something else.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Json::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// The object that a text is, and nothing beside it.
pub(super) fn object(text: &[u8]) -> Option<Object> {
    match serde_json::from_slice(text).ok()? {
        Json::Object(object) => Some(object),
        _ => None,
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON whose objects have each name once")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Json, E> {
        Ok(Json::Bool(yes))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Json, E> {
        Ok(Json::Number(n.to_string().into(), n as f64))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Json, E> {
        Ok(Json::Number(n.to_string().into(), n as f64))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Json, E> {
        Ok(Json::Number(n.to_string().into(), n))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut all = Vec::new();
        while let Some(value) = list.next_element()? {
            all.push(value);
        }
        Ok(Json::List(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut all: Vec<(String, Json)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            if all.len() > MOST_NAMES || all.iter().any(|(known, _)| *known == name) {
                return Err(A::Error::custom("a name that stands twice, or too many of them"));
            }
            all.push((name, value));
        }
        Ok(Json::Object(Object(all)))
    }
}
