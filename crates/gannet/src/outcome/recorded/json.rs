//! A value of JSON that borrows from its text: rows of journals are read by the million, each for a few of its words.

use std::borrow::Cow;
use std::fmt;

use serde_core::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// What is looked at in attempts; other numbers and null are `Other`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Json<'t> {
    Bool(bool),
    Number(u64),
    Text(Cow<'t, str>),
    Array(Vec<Self>),
    /// In the order of the text.
    Object(Vec<(Self, Self)>),
    Other,
}

impl<'t> Json<'t> {
    /// `None` if it is none.
    pub(super) fn read(text: &'t str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        fields.iter().find(|(known, _)| known.as_str() == Some(name)).map(|(_, value)| value)
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    pub(super) fn as_u64(&self) -> Option<u64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }

    pub(super) fn as_bool(&self) -> Option<bool> {
        if let Self::Bool(is_so) = self { Some(*is_so) } else { None }
    }

    pub(super) fn as_array(&self) -> Option<&[Self]> {
        if let Self::Array(all) = self { Some(all) } else { None }
    }
}

impl<'t> Deserialize<'t> for Json<'t> {
    fn deserialize<D: Deserializer<'t>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Any)
    }
}

struct Any;

impl<'t> Visitor<'t> for Any {
    type Value = Json<'t>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, is_so: bool) -> Result<Json<'t>, E> {
        Ok(Json::Bool(is_so))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json<'t>, E> {
        Ok(Json::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Json<'t>, E> {
        Ok(Json::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json<'t>, E> {
        Ok(Json::Other)
    }

    fn visit_unit<E>(self) -> Result<Json<'t>, E> {
        Ok(Json::Other)
    }

    fn visit_borrowed_str<E>(self, text: &'t str) -> Result<Json<'t>, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json<'t>, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut seq: A) -> Result<Json<'t>, A::Error> {
        let mut all = Vec::with_capacity(8);
        while let Some(next) = seq.next_element()? {
            all.push(next);
        }
        Ok(Json::Array(all))
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Json<'t>, A::Error> {
        let mut fields = Vec::with_capacity(16);
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Json::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_and_borrow_what_has_no_escapes() {
        let json = Json::read(r#"{"a":[1,-1,1.5,null,true],"b":{"c":"d\n"},"e":"f"}"#).expect("it is JSON");
        let all = json.get("a").and_then(Json::as_array).expect("an array");
        assert_eq!(all, [Json::Number(1), Json::Other, Json::Other, Json::Other, Json::Bool(true)]);
        assert_eq!(all[4].as_bool(), Some(true));
        assert_eq!(json.get("b").and_then(|inner| inner.get("c")).and_then(Json::as_str), Some("d\n"));
        assert!(matches!(json.get("e"), Some(Json::Text(Cow::Borrowed("f")))));
        assert_eq!((json.get("g"), all[0].get("a"), Json::read("{")), (None, None, None));
    }
}
