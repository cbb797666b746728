//! The tokens of one run: made anew each time, known to its workers by their hash only.

use sha2::{Digest as _, Sha256};

const TOKEN_BYTES: usize = 24;

/// What each kind of caller may do, by the names that the workers know.
const OPERATOR_SCOPES: [&str; 9] = [
    "orders:write",
    "orders:read",
    "stock:write",
    "stock:read",
    "notify:write",
    "notify:read",
    "dlq:write",
    "dlq:read",
    "admin",
];
const WEB_SCOPES: [&str; 2] = ["orders:write", "orders:read"];

/// Bearer tokens.
#[derive(Clone)]
pub struct Tokens {
    /// May do everything.
    pub operator: String,
    /// May make and read orders.
    pub web: String,
    /// What order-worker shows to the payment provider.
    pub merchant_key: String,
    /// What the payment provider signs its callbacks with.
    pub callback_secret: String,
}

impl Tokens {
    /// New random ones.
    pub fn generate() -> Self {
        let random = || hex::encode(rand::random::<[u8; TOKEN_BYTES]>());
        Self {
            operator: random(),
            web: random(),
            merchant_key: random(),
            callback_secret: random(),
        }
    }

    /// The workers' token file.
    pub(crate) fn file(&self) -> String {
        entry("operator", &self.operator, &OPERATOR_SCOPES) + &entry("web", &self.web, &WEB_SCOPES)
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

fn entry(name: &str, token: &str, scopes: &[&str]) -> String {
    let sha256 = hex::encode(Sha256::digest(token.as_bytes()));
    format!("[[token]]\nname = {name:?}\nsha256 = {sha256:?}\nscopes = {scopes:?}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_hashes_only() {
        let tokens = Tokens::generate();
        let file = tokens.file();
        assert!(!file.contains(&tokens.operator) && !file.contains(&tokens.web));
        assert!(file.contains(r#"scopes = ["orders:write", "orders:read"]"#), "{file}");
        assert_eq!(entry("x", "abc", &[]).matches("ba7816bf8f01cfea").count(), 1);
    }
}
