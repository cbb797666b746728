//! Texts to fill in: built-in ones, and those of the table, which stand in for them.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use contracts::{Extra, OrderNo, UserId};

use crate::store::TemplateRow;

mod builtin;
mod text;

use text::Text;

/// The templates of this moment. Clones share them.
#[derive(Debug, Clone)]
pub struct Templates {
    known: Arc<ArcSwap<Known>>,
    default_locale: Arc<str>,
}

type Known = HashMap<String, HashMap<String, Arc<Template>>>;

/// One template in one language.
#[derive(Debug)]
struct Template {
    subject: Text,
    body: Text,
}

/// What is filled in.
#[derive(Debug, Clone, Copy)]
pub struct Values<'a> {
    pub params: &'a Extra,
    /// Stands for `{{orderNo}}` when `params` has none.
    pub order_no: Option<&'a OrderNo>,
    /// Stands for `{{userId}}` when `params` has none.
    pub user_id: Option<UserId>,
}

/// A template, filled in.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    pub subject: String,
    pub body: String,
}

/// Why a template can't be filled in. No value is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    #[error("template {0:?} is unknown")]
    Unknown(String),
    #[error("template {template:?} needs the parameter {name:?}")]
    Missing { template: String, name: String },
}

impl Templates {
    /// The built-in templates. `default_locale` is taken where a person's language is unknown
    /// or has no text.
    pub fn new(default_locale: &str) -> Self {
        let known = Arc::new(ArcSwap::from_pointee(built_in()));
        Self { known, default_locale: default_locale.to_ascii_lowercase().into() }
    }

    /// Takes the rows of the table, in place of those that it had before.
    ///
    /// A row that can't be read is left out, so that the built-in one is taken.
    pub(crate) fn replace(&self, rows: Vec<TemplateRow>) {
        let mut known = built_in();
        for row in rows {
            match (Text::parse(&row.subject), Text::parse(&row.body)) {
                (Ok(subject), Ok(body)) => {
                    let locale = row.locale.to_ascii_lowercase();
                    let template = Arc::new(Template { subject, body });
                    known.entry(row.template).or_default().insert(locale, template);
                }
                (Err(problem), _) | (_, Err(problem)) => {
                    tracing::warn!(
                        template = row.template,
                        locale = row.locale,
                        problem,
                        "a template of the table can't be read"
                    );
                }
            }
        }
        self.known.store(Arc::new(known));
    }

    /// Fills in `name` in the first of `locales` that has a text, or in the default one.
    ///
    /// # Errors
    /// There is no such template, or a value is missing.
    pub fn render(
        &self,
        name: &str,
        locales: &[&str],
        values: Values<'_>,
    ) -> Result<Rendered, TemplateError> {
        let known = self.known.load();
        let by_locale = known.get(name).ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
        let template = locales
            .iter()
            .chain([&&*self.default_locale, &builtin::LOCALE])
            .find_map(|locale| find(by_locale, locale))
            .or_else(|| by_locale.values().next())
            .ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
        let fill = |text: &Text| {
            text.fill(values).map_err(|missing| TemplateError::Missing {
                template: name.to_owned(),
                name: missing,
            })
        };
        Ok(Rendered { subject: fill(&template.subject)?, body: fill(&template.body)? })
    }
}

/// `zh-Hant-TW`, else `zh-hant`, else `zh`.
fn find<'a>(
    by_locale: &'a HashMap<String, Arc<Template>>,
    locale: &str,
) -> Option<&'a Arc<Template>> {
    let locale = locale.to_ascii_lowercase().replace('_', "-");
    let mut rest = locale.as_str();
    loop {
        if let Some(template) = by_locale.get(rest) {
            return Some(template);
        }
        rest = rest.rsplit_once('-')?.0;
    }
}

fn built_in() -> Known {
    let mut known = Known::new();
    for (name, locale, subject, body) in builtin::ALL {
        let parse = |text| Text::parse(text).expect("a built-in template can be read");
        let template = Arc::new(Template { subject: parse(subject), body: parse(body) });
        known.entry((*name).to_owned()).or_default().insert((*locale).to_owned(), template);
    }
    known
}

#[cfg(test)]
mod tests;
