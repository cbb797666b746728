use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

/// What RocketMQ ends a property's name and its value with.
const NAME_END: u8 = 1;
const VALUE_END: u8 = 2;

/// Properties as RocketMQ writes them: name, U+0001, value, U+0002, and so on. Where they are is found
/// once, when they come.
#[derive(Debug, Clone)]
pub struct Written {
    /// Valid UTF-8.
    text: Bytes,
    places: Arc<[Place]>,
}

/// Where a property is: its name, the byte [`NAME_END`], its value. Neither is empty.
#[derive(Debug, Clone, Copy)]
struct Place {
    name: usize,
    name_end: usize,
    value_end: usize,
}

impl Written {
    /// What is no UTF-8 is replaced.
    pub fn new(text: Bytes) -> Self {
        let text = match std::str::from_utf8(&text) {
            Ok(_) => text,
            Err(_) => String::from_utf8_lossy(&text).into_owned().into(),
        };
        let places = places(&text).into();
        Self { text, places }
    }

    /// One property's value; of one that is there twice the last, as in a map.
    pub fn get(&self, name: &str) -> Option<&str> {
        let is_named = |place: &&Place| self.text[place.name..place.name_end] == *name.as_bytes();
        self.places.iter().rev().find(is_named).map(|place| self.value(place))
    }

    fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.places
            .iter()
            .map(|place| (self.between(place.name, place.name_end), self.value(place)))
    }

    fn value(&self, place: &Place) -> &str {
        self.between(place.name_end + 1, place.value_end)
    }

    fn between(&self, from: usize, to: usize) -> &str {
        std::str::from_utf8(&self.text[from..to]).expect("the text is cut at whole characters")
    }
}

fn places(text: &[u8]) -> Vec<Place> {
    let mut places = Vec::with_capacity(16);
    let mut name = 0;
    let mut name_end = None;
    let mut add = |name: usize, name_end: Option<usize>, value_end: usize| {
        if let Some(name_end) = name_end
            && name_end > name
            && value_end > name_end + 1
        {
            places.push(Place { name, name_end, value_end });
        }
    };
    for (at, byte) in text.iter().enumerate() {
        match *byte {
            NAME_END if name_end.is_none() => name_end = Some(at),
            VALUE_END => {
                add(name, name_end, at);
                name = at + 1;
                name_end = None;
            }
            _ => {}
        }
    }
    add(name, name_end, text.len());
    places
}

/// The user properties of a delivered message: read one by one with [`Received::text`], or all as a
/// map, which is made when it is used first.
#[derive(Clone, Default)]
pub struct Received {
    written: Option<(Written, IsHidden)>,
    map: OnceLock<BTreeMap<String, String>>,
}

/// Whether a name is the bus's own.
type IsHidden = fn(&str) -> bool;

impl Received {
    /// The properties as they came. What `is_hidden` says of a name, there is no such property.
    pub fn written(written: Written, is_hidden: fn(&str) -> bool) -> Self {
        Self { written: Some((written, is_hidden)), map: OnceLock::new() }
    }

    /// One property's value.
    pub fn text(&self, name: &str) -> Option<&str> {
        match (self.map.get(), &self.written) {
            (None, Some((_, is_hidden))) if is_hidden(name) => None,
            (None, Some((written, _))) => written.get(name),
            _ => self.get(name).map(String::as_str),
        }
    }
}

impl Deref for Received {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        self.map.get_or_init(|| match &self.written {
            Some((written, is_hidden)) => written
                .all()
                .filter(|(name, _)| !is_hidden(name))
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

    fn written(text: &'static [u8]) -> Written {
        Written::new(Bytes::from_static(text))
    }

    fn received() -> Received {
        let text = "KEYS\u{1}k\u{2}eventId\u{1}7\u{2}empty\u{1}\u{2}odd\u{2}\u{2}\u{1}x\u{2}producer\u{1}w\u{1}1";
        Received::written(written(text.as_bytes()), |name| name == "KEYS")
    }

    #[test]
    fn properties_are_found_one_by_one_and_as_a_map() {
        let map = BTreeMap::from([("eventId", "7"), ("producer", "w\u{1}1")]);
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
    fn asking_for_one_property_makes_no_map() {
        let received = received();
        assert_eq!((received.text("KEYS"), received.text("eventId")), (None, Some("7")));
        assert!(received.map.get().is_none());
    }

    #[test]
    fn of_a_property_that_is_there_twice_the_last_one_counts() {
        let received = Received::written(written(b"a\x011\x02b\x012\x02a\x013\x02"), |_| false);
        assert_eq!(received.text("a"), Some("3"));
        assert_eq!(received["a"], "3");
    }

    #[test]
    fn a_changed_property_is_changed_for_all() {
        let mut received = received();
        received.insert("eventId".to_owned(), "8".to_owned());
        assert_eq!(
            (received.text("eventId"), received.text("producer")),
            (Some("8"), Some("w\u{1}1"))
        );
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        let received = Received::written(written(b"a\x01\xff\x02"), |_| false);
        assert_eq!(received.text("a"), Some("\u{fffd}"));
    }
}
