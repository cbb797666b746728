//! What callers send.

use common::problem::Problem;
use serde::Deserialize;
use uuid::Uuid;

use crate::domain::Status;
use crate::store::Filter;

const LIMIT_DEFAULT: i64 = 50;
const LIMIT_MAX: i64 = 500;
const REASON_MAX_CHARS: usize = 500;

/// `?group=&status=&orderNo=&limit=&after=`, each optional; an empty one counts as absent.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct ListQuery {
    group: Option<String>,
    status: Option<String>,
    order_no: Option<String>,
    limit: Option<String>,
    after: Option<String>,
}

impl ListQuery {
    pub(super) fn check(self) -> Result<Filter, Problem> {
        let named = |name: &'static str| {
            let one_of = Status::ALL.map(Status::as_str).join(", ");
            move |_| Problem::invalid_field(name).detail(format!("expected one of {one_of}"))
        };
        let status = present(self.status).map(|text| text.parse().map_err(named("status")));
        let after = present(self.after).map(|text| {
            let expected = "expected the id of the last dead letter of the page before";
            text.parse::<Uuid>().map_err(|_| Problem::invalid_field("after").detail(expected))
        });
        let limit = present(self.limit).map(|text| match text.parse() {
            Ok(limit @ 1..=LIMIT_MAX) => Ok(limit),
            Ok(_) | Err(_) => Err(Problem::invalid_field("limit")
                .detail(format!("expected a number from 1 to {LIMIT_MAX}"))
                .limit(LIMIT_MAX)),
        });
        Ok(Filter {
            group: storable("group", present(self.group))?,
            status: status.transpose()?,
            order_no: storable("orderNo", present(self.order_no))?,
            after: after.transpose()?,
            limit: limit.transpose()?.unwrap_or(LIMIT_DEFAULT),
        })
    }
}

/// Why a dead letter is given up.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Discard {
    reason: String,
}

impl Discard {
    pub(super) fn check(self) -> Result<String, Problem> {
        let reason = self.reason.trim();
        let chars = reason.chars().count();
        if chars == 0 || chars > REASON_MAX_CHARS {
            return Err(Problem::invalid_field("reason")
                .detail(format!("expected 1 to {REASON_MAX_CHARS} characters"))
                .limit(REASON_MAX_CHARS));
        }
        let reason = storable("reason", Some(reason.to_owned()))?;
        Ok(reason.unwrap_or_default())
    }
}

fn present(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// PostgreSQL's text holds everything but one character.
fn storable(field: &'static str, text: Option<String>) -> Result<Option<String>, Problem> {
    if text.as_deref().is_some_and(|text| text.contains('\0')) {
        return Err(Problem::invalid_field(field).detail("it holds the character U+0000"));
    }
    Ok(text)
}
