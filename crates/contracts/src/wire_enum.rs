//! Enums whose variants are words on the wire.

/// Defines an enum with `ALL`, `as_str`, `Display`, `FromStr` and its place in a JSON field.
macro_rules! wire_enum {
    (
        $(#[$doc:meta])*
        $name:ident, $expected:literal {
            $( $(#[$variant_doc:meta])* $variant:ident = $word:literal, )+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $( $(#[$variant_doc])* $variant, )+
        }

        impl $name {
            /// Every variant.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];
            const EXPECTED: &'static str = $expected;

            /// The word on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::Invalid;

            fn from_str(word: &str) -> Result<Self, $crate::Invalid> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::Invalid { expected: Self::EXPECTED }),
                }
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let word = String::deserialize(from)?;
                word.parse().map_err(serde::de::Error::custom)
            }
        }

        impl $crate::read::FromField for $name {
            fn from_field(value: $crate::read::Written<'_>) -> Result<Self, $crate::ReadError> {
                let variant = value.text().and_then(|word| word.parse().ok());
                variant.ok_or_else(|| $crate::read::mismatch(Self::EXPECTED, value))
            }
        }
    };
}
pub(crate) use wire_enum;
