use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::domain::NewOrder;

/// What makes two requests the same. Its spelling (spaces, the order of fields, `1.5` or `1.50`)
/// does not.
#[derive(Serialize)]
struct Meaning<'a> {
    session: i64,
    user: i64,
    lines: Vec<(i64, i32, Option<String>)>,
    currency: Option<&'a str>,
    total: Option<String>,
    method: Option<&'a str>,
    channels: Vec<&'static str>,
}

/// A hash of what the request asks for.
pub(super) fn of(new: &NewOrder) -> [u8; 32] {
    let text = |amount: contracts::Amount| amount.to_string();
    let lines = new.lines.iter();
    let meaning = Meaning {
        session: new.session_id.get(),
        user: new.user_id.get(),
        lines: lines
            .map(|line| (line.ticket_id.get(), line.quantity.get(), line.unit_price.map(text)))
            .collect(),
        currency: new.currency.as_ref().map(contracts::Currency::as_str),
        total: new.total.map(text),
        method: new.payment_method.as_deref(),
        channels: new.channels.iter().map(|channel| channel.as_str()).collect(),
    };
    let bytes = serde_json::to_vec(&meaning).expect("texts and numbers are always JSON");
    Sha256::digest(bytes).into()
}
