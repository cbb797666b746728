use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::OnceLock;

use bytes::Bytes;

/// What RocketMQ ends a property's name and its value with.
const NAME_END: char = '\u{1}';
const VALUE_END: char = '\u{2}';

/// The user properties of a delivered message: read one by one with [`Received::text`], or all as a
/// map, which is made when it is used first.
#[derive(Clone, Default)]
pub struct Received {
    written: Option<Written>,
    map: OnceLock<BTreeMap<String, String>>,
}

/// Properties as they came.
#[derive(Clone)]
struct Written {
    /// Valid UTF-8.
    text: Bytes,
    /// Whether a name is the bus's own.
    is_hidden: fn(&str) -> bool,
}

impl Received {
    /// The properties as RocketMQ writes them: name, U+0001, value, U+0002, and so on. What
    /// `is_hidden` says of a name, there is no such property.
    pub fn written(text: Bytes, is_hidden: fn(&str) -> bool) -> Self {
        let text = match std::str::from_utf8(&text) {
            Ok(_) => text,
            Err(_) => String::from_utf8_lossy(&text).into_owned().into(),
        };
        Self { written: Some(Written { text, is_hidden }), map: OnceLock::new() }
    }

    /// One property's value.
    pub fn text(&self, name: &str) -> Option<&str> {
        match (self.map.get(), &self.written) {
            (None, Some(written)) if !(written.is_hidden)(name) => {
                property_of(written.as_str(), name)
            }
            _ => self.get(name).map(String::as_str),
        }
    }
}

/// One property's value, of all as RocketMQ writes them; of one that is there twice the last, as in
/// the map.
pub fn property_of<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    properties_of(text).filter(|(found, _)| *found == name).last().map(|(_, value)| value)
}

fn properties_of(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let properties = text.split(VALUE_END).filter_map(|property| property.split_once(NAME_END));
    properties.filter(|(name, value)| !name.is_empty() && !value.is_empty())
}

impl Written {
    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).expect("it was looked at when it came")
    }
}

impl Deref for Received {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        self.map.get_or_init(|| match &self.written {
            Some(written) => properties_of(written.as_str())
                .filter(|(name, _)| !(written.is_hidden)(name))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            None => BTreeMap::new(),
        })
    }
}

impl DerefMut for Received {
    fn deref_mut(&mut self) -> &mut Self::Target {
        let _ = &**self;
        self.map.get_mut().expect("it has just been made")
    }
}

impl From<BTreeMap<String, String>> for Received {
    fn from(map: BTreeMap<String, String>) -> Self {
        Self { written: None, map: map.into() }
    }
}

impl FromIterator<(String, String)> for Received {
    fn from_iter<All: IntoIterator<Item = (String, String)>>(all: All) -> Self {
        BTreeMap::from_iter(all).into()
    }
}

impl PartialEq for Received {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Received {}

impl PartialEq<BTreeMap<String, String>> for Received {
    fn eq(&self, other: &BTreeMap<String, String>) -> bool {
        **self == *other
    }
}

impl fmt::Debug for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received() -> Received {
        let text = "KEYS\u{1}k\u{2}eventId\u{1}7\u{2}empty\u{1}\u{2}odd\u{2}producer\u{1}w=1\u{2}";
        Received::written(Bytes::from_static(text.as_bytes()), |name| name == "KEYS")
    }

    #[test]
    fn properties_are_found_one_by_one_and_as_a_map() {
        let map = BTreeMap::from([("eventId", "7"), ("producer", "w=1")]);
        let map: BTreeMap<String, String> =
            map.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for name in ["KEYS", "eventId", "empty", "odd", "producer", "event", ""] {
            let expected = map.get(name).map(String::as_str);
            assert_eq!(received().text(name), expected, "{name:?}");
        }
        assert_eq!(received(), map);
        assert_eq!(received(), Received::from(map));
    }

    #[test]
    fn of_a_property_that_is_there_twice_the_last_one_counts() {
        let text = Bytes::from_static(b"a\x011\x02b\x012\x02a\x013\x02");
        let received = Received::written(text, |_| false);
        assert_eq!(received.text("a"), Some("3"));
        assert_eq!(received["a"], "3");
    }

    #[test]
    fn a_changed_property_is_changed_for_all() {
        let mut received = received();
        received.insert("eventId".to_owned(), "8".to_owned());
        assert_eq!((received.text("eventId"), received.text("producer")), (Some("8"), Some("w=1")));
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        let received = Received::written(Bytes::from_static(b"a\x01\xff\x02"), |_| false);
        assert_eq!(received.text("a"), Some("\u{fffd}"));
    }
}
