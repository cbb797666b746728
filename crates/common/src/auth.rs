//! Bearer tokens with scopes, from a file that holds only their hashes.
//!
//! ```toml
//! [[token]]
//! name = "web"
//! sha256 = "<64 hexadecimal digits>"
//! scopes = ["orders:write", "orders:read"]
//! ```
//! A token is long and random, so its hash needs neither salt nor stretching.

use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use crate::config::{AuthConfig, ConfigError};
use crate::problem::Problem;

/// What a token may do. A payment callback needs none: its signature counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Scope {
    #[serde(rename = "orders:write")]
    OrdersWrite,
    #[serde(rename = "orders:read")]
    OrdersRead,
    #[serde(rename = "stock:write")]
    StockWrite,
    #[serde(rename = "stock:read")]
    StockRead,
    #[serde(rename = "notify:write")]
    NotifyWrite,
    #[serde(rename = "notify:read")]
    NotifyRead,
    #[serde(rename = "dlq:write")]
    DlqWrite,
    #[serde(rename = "dlq:read")]
    DlqRead,
    /// Operator calls on the admin port. It does not include the others.
    #[serde(rename = "admin")]
    Admin,
}

impl Scope {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::OrdersWrite,
        Self::OrdersRead,
        Self::StockWrite,
        Self::StockRead,
        Self::NotifyWrite,
        Self::NotifyRead,
        Self::DlqWrite,
        Self::DlqRead,
        Self::Admin,
    ];

    /// Its name, as in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::OrdersWrite => "orders:write",
            Self::OrdersRead => "orders:read",
            Self::StockWrite => "stock:write",
            Self::StockRead => "stock:read",
            Self::NotifyWrite => "notify:write",
            Self::NotifyRead => "notify:read",
            Self::DlqWrite => "dlq:write",
            Self::DlqRead => "dlq:read",
            Self::Admin => "admin",
        }
    }
}

/// Who calls. In a handler behind [`protect`] it is an extractor.
#[derive(Debug, Clone)]
pub struct Caller(Arc<Token>);

impl Caller {
    /// The token's name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// What the token may do.
    pub fn scopes(&self) -> &[Scope] {
        &self.0.scopes
    }

    /// Checks one scope.
    ///
    /// # Errors
    /// 403, naming the scope.
    pub fn require(&self, scope: Scope) -> Result<(), Problem> {
        if self.0.scopes.contains(&scope) {
            return Ok(());
        }
        Err(Problem::forbidden().detail(format!(
            "token {:?} lacks the scope {}",
            self.0.name,
            scope.name()
        )))
    }
}

#[derive(Debug)]
struct Token {
    name: String,
    sha256: [u8; 32],
    scopes: Vec<Scope>,
}

/// The tokens that are accepted.
#[derive(Debug, Clone, Default)]
pub struct Tokens(Arc<[Arc<Token>]>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenFile {
    #[serde(default)]
    token: Vec<TokenEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenEntry {
    name: String,
    sha256: String,
    scopes: Vec<Scope>,
}

impl Tokens {
    /// Reads the configured file; without one no token is accepted.
    ///
    /// # Errors
    /// The file can't be read, or an entry can't; names it.
    pub fn load(config: &AuthConfig) -> Result<Self, ConfigError> {
        config.tokens_file.as_deref().map_or_else(|| Ok(Self::default()), Self::read)
    }

    fn read(path: &Path) -> Result<Self, ConfigError> {
        let refuse = |reason: String| ConfigError::File { path: path.to_owned(), reason };
        let text = std::fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
        Self::parse(&text).map_err(refuse)
    }

    /// Reads the text of a token file.
    ///
    /// # Errors
    /// What is wrong, in one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: TokenFile =
            toml::from_str(text).map_err(|error| error.message().replace('\n', " "))?;
        let tokens = file.token.into_iter().map(|entry| {
            let mut sha256 = [0; 32];
            hex::decode_to_slice(&entry.sha256, &mut sha256)
                .map_err(|error| format!("token {:?}: sha256: {error}", entry.name))?;
            Ok(Arc::new(Token { name: entry.name, sha256, scopes: entry.scopes }))
        });
        Ok(Self(tokens.collect::<Result<_, String>>()?))
    }

    /// Whose token this is. Takes as long for a wrong one as for a right one.
    pub fn identify(&self, token: &str) -> Option<Caller> {
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let mut found = Choice::from(0);
        let mut position = 0_u64;
        for (index, known) in (0_u64..).zip(self.0.iter()) {
            let same = hash.ct_eq(&known.sha256);
            position.conditional_assign(&index, same);
            found |= same;
        }
        let position = usize::try_from(position).ok()?;
        bool::from(found).then(|| self.0.get(position).cloned().map(Caller)).flatten()
    }

    /// The caller of a request.
    ///
    /// # Errors
    /// 401: there is no token, or nobody's.
    pub fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let Some(value) = headers.get(header::AUTHORIZATION) else {
            return Err(Problem::unauthorized().detail("send Authorization: Bearer <token>"));
        };
        value
            .to_str()
            .ok()
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .and_then(|(_, token)| self.identify(token.trim()))
            .ok_or_else(|| Problem::unauthorized().detail("the token is not known here"))
    }
}

/// The hash of a token, as the file holds it.
pub fn hash_of(token: &str) -> String {
    hex::encode(Sha256::digest(token.as_bytes()))
}

/// Lets only callers with `scope` reach the routes that `router` has so far.
///
/// The body of a refused request is not read.
pub fn protect<S: Clone + Send + Sync + 'static>(
    router: Router<S>,
    tokens: &Tokens,
    scope: Scope,
) -> Router<S> {
    router.route_layer(middleware::from_fn_with_state((tokens.clone(), scope), check))
}

async fn check(
    State((tokens, scope)): State<(Tokens, Scope)>,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let caller = tokens.caller(request.headers())?;
    caller.require(scope)?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            tracing::error!(path = %parts.uri.path(), "a route asks for its caller unprotected");
            Problem::internal()
        })
    }
}

#[cfg(test)]
mod tests;
