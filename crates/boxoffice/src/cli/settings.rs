use std::path::PathBuf;

use clap::Args;
use serde::Deserialize;

use super::Failure;

/// Where the workers and servers are: flags, else variables, else the profile.
#[derive(Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[command(next_help_heading = "Where things are")]
pub(super) struct Settings {
    /// A TOML file with what no flag and no variable says: `order_url = "http://…"`, …
    #[arg(long, global = true, env = "BOXOFFICE_PROFILE", value_name = "FILE")]
    #[serde(skip)]
    profile: Option<PathBuf>,
    /// order-worker's API.
    #[arg(long, global = true, env = "BOXOFFICE_ORDER_URL", value_name = "URL")]
    order_url: Option<String>,
    /// stock-worker's API.
    #[arg(long, global = true, env = "BOXOFFICE_STOCK_URL", value_name = "URL")]
    stock_url: Option<String>,
    /// notify-worker's API.
    #[arg(long, global = true, env = "BOXOFFICE_NOTIFY_URL", value_name = "URL")]
    notify_url: Option<String>,
    /// dlq-handler's API.
    #[arg(long, global = true, env = "BOXOFFICE_DLQ_URL", value_name = "URL")]
    dlq_url: Option<String>,
    /// The admin port of a worker, for each of them: `load` tells how far they are behind; the
    /// variable separates them by commas.
    #[arg(
        long = "admin-url",
        global = true,
        env = "BOXOFFICE_ADMIN_URLS",
        value_delimiter = ',',
        value_name = "URL"
    )]
    admin_urls: Vec<String>,
    /// The bearer token for all of them.
    #[arg(long, global = true, env = "BOXOFFICE_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// PostgreSQL, as a role that may read all schemas.
    #[arg(
        long,
        global = true,
        env = "BOXOFFICE_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    database_url: Option<String>,
    /// Redis.
    #[arg(
        long,
        global = true,
        env = "BOXOFFICE_REDIS_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    redis_url: Option<String>,
    /// In front of every key in Redis, as stock-worker's `gate.prefix`.
    #[arg(long, global = true, env = "BOXOFFICE_REDIS_PREFIX", value_name = "TEXT")]
    redis_prefix: Option<String>,
    /// The payment provider's API.
    #[arg(long, global = true, env = "BOXOFFICE_GATEWAY_URL", value_name = "URL")]
    gateway_url: Option<String>,
    /// The merchant key for it.
    #[arg(
        long,
        global = true,
        env = "BOXOFFICE_GATEWAY_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    gateway_key: Option<String>,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings").field("profile", &self.profile).finish_non_exhaustive()
    }
}

impl Settings {
    /// Fills in what the profile says and nothing else did.
    pub(super) fn with_profile(self) -> Result<Self, Failure> {
        let Some(path) = self.profile.clone() else { return Ok(self) };
        let refuse = |reason: String| Failure::Usage(format!("{}: {reason}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|error| refuse(error.to_string()))?;
        let file: Self = toml::from_str(&text).map_err(|error| refuse(error.to_string()))?;
        Ok(Self {
            profile: self.profile,
            order_url: self.order_url.or(file.order_url),
            stock_url: self.stock_url.or(file.stock_url),
            notify_url: self.notify_url.or(file.notify_url),
            dlq_url: self.dlq_url.or(file.dlq_url),
            admin_urls: match self.admin_urls.is_empty() {
                true => file.admin_urls,
                false => self.admin_urls,
            },
            token: self.token.or(file.token),
            database_url: self.database_url.or(file.database_url),
            redis_url: self.redis_url.or(file.redis_url),
            redis_prefix: self.redis_prefix.or(file.redis_prefix),
            gateway_url: self.gateway_url.or(file.gateway_url),
            gateway_key: self.gateway_key.or(file.gateway_key),
        })
    }

    pub(super) fn order_url(&self) -> Result<&str, Failure> {
        required(self.order_url.as_deref(), "order")
    }

    pub(super) fn stock_url(&self) -> Result<&str, Failure> {
        required(self.stock_url.as_deref(), "stock")
    }

    pub(super) fn dlq_url(&self) -> Result<&str, Failure> {
        required(self.dlq_url.as_deref(), "dlq")
    }

    /// None of them when nobody said where they are.
    pub(super) fn admin_urls(&self) -> Vec<String> {
        self.admin_urls.iter().filter(|url| !url.is_empty()).cloned().collect()
    }

    pub(super) fn token(&self) -> &str {
        self.token.as_deref().unwrap_or_default()
    }

    /// What the audit looks at.
    pub(super) fn target(&self) -> Result<crate::audit::Target, Failure> {
        let database_url = required(self.database_url.as_deref(), "database")?.to_owned();
        let gateway = match (&self.gateway_url, &self.gateway_key) {
            (Some(url), Some(key)) => {
                Some(crate::audit::Gateway { url: url.clone(), key: key.clone() })
            }
            (None, _) => None,
            (Some(_), None) => {
                return Err(Failure::Usage(
                    "the provider's books need its key: give --gateway-key, or \
                     BOXOFFICE_GATEWAY_KEY, or gateway_key in the profile"
                        .to_owned(),
                ));
            }
        };
        Ok(crate::audit::Target {
            database_url,
            redis_url: self.redis_url.clone(),
            redis_prefix: self.redis_prefix.clone().unwrap_or_default(),
            gateway,
        })
    }
}

fn required<'a>(value: Option<&'a str>, name: &str) -> Result<&'a str, Failure> {
    value.ok_or_else(|| {
        let variable = name.to_uppercase();
        Failure::Usage(format!(
            "where is it? Give --{name}-url, or BOXOFFICE_{variable}_URL, or {name}_url in the \
             profile"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_profile(text: &str) -> Result<Settings, Failure> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        let settings = Settings {
            profile: Some(file.path().to_owned()),
            order_url: Some("http://flag".to_owned()),
            ..Settings::default()
        };
        settings.with_profile()
    }

    #[test]
    fn a_flag_wins_over_the_profile() {
        let text = "order_url = 'http://file'\nstock_url = 'http://file'";
        let settings = with_profile(text).expect("a profile");
        assert_eq!(settings.order_url().expect("there"), "http://flag");
        assert_eq!(settings.stock_url().expect("there"), "http://file");
        let missing = settings.dlq_url().expect_err("nowhere").to_string();
        assert!(
            missing.contains("--dlq-url") && missing.contains("BOXOFFICE_DLQ_URL"),
            "{missing}"
        );
    }

    #[test]
    fn admin_ports_are_named_one_by_one_or_by_commas_or_in_the_profile() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            settings: Settings,
        }
        let arguments = ["x", "--admin-url", "http://a", "--admin-url", "http://b,http://c"];
        let line = <Line as clap::Parser>::parse_from(arguments);
        assert_eq!(line.settings.admin_urls(), ["http://a", "http://b", "http://c"]);
        let settings = with_profile("admin_urls = ['http://a', 'http://b']").expect("a profile");
        assert_eq!(settings.admin_urls(), ["http://a", "http://b"]);
    }

    #[test]
    fn an_unknown_key_of_the_profile_is_refused() {
        let refused = with_profile("order_uri = 'x'").expect_err("refused").to_string();
        assert!(refused.contains("order_uri"), "{refused}");
    }
}
