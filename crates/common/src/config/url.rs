//! Addresses of servers: checked when they are read, their password never printed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sqlx::postgres::PgConnectOptions;
use url::Url;

/// Where PostgreSQL is: `postgres://user:password@host:port/database`.
#[derive(Clone)]
pub struct PostgresUrl {
    text: String,
    options: PgConnectOptions,
}

/// Where Redis is: `redis://host:port`.
#[derive(Clone)]
pub struct RedisUrl {
    text: String,
    client: redis::Client,
}

impl PostgresUrl {
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }
}

impl RedisUrl {
    pub fn expose(&self) -> &str {
        &self.text
    }

    pub fn client(&self) -> redis::Client {
        self.client.clone()
    }
}

impl FromStr for PostgresUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        check(text, &["postgres", "postgresql"])?;
        let options = PgConnectOptions::from_str(text).map_err(|error| error.to_string())?;
        Ok(Self { text: text.to_owned(), options })
    }
}

impl FromStr for RedisUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        check(text, &["redis"])?;
        let client = redis::Client::open(text).map_err(|error| error.to_string())?;
        Ok(Self { text: text.to_owned(), client })
    }
}

/// The text is not repeated in the error: it may hold a password.
fn check(text: &str, schemes: &[&str]) -> Result<(), String> {
    let expected = schemes[0];
    let url = Url::parse(text).map_err(|error| format!("not a {expected}:// URL: {error}"))?;
    if !schemes.contains(&url.scheme()) {
        return Err(format!("not a {expected}:// URL: its scheme is {}", url.scheme()));
    }
    match url.host_str() {
        None | Some("") => Err(format!("not a {expected}:// URL: it names no host")),
        Some(_) => Ok(()),
    }
}

fn masked(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return "***".to_owned() };
    if url.password().is_some() && url.set_password(Some("***")).is_err() {
        return "***".to_owned();
    }
    url.to_string()
}

macro_rules! address {
    ($name:ident, $default:literal) => {
        impl Default for $name {
            fn default() -> Self {
                $default.parse().expect("the default is a valid address")
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&masked(&self.text))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

address!(PostgresUrl, "postgres://boxoffice@127.0.0.1:5432/boxoffice");
address!(RedisUrl, "redis://127.0.0.1:6379");
