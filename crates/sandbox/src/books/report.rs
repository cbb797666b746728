//! The books as an auditor reads them: totals, and pages in the order of the ids.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde::Serialize;

use super::{Account, Balance, Books, PaymentView, Status};
use crate::ids::{Currency, OrderNo, PaymentId};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Totals {
    pub(crate) payments: usize,
    pub(crate) refunds: usize,
    pub(crate) undelivered_events: usize,
    pub(crate) by_status: BTreeMap<Status, usize>,
    pub(crate) by_currency: BTreeMap<Currency, Balance>,
}

/// One page; `next` is the `after` of the following one, and absent on the last.
#[derive(Debug, Serialize)]
pub(crate) struct Page<T, K> {
    pub(crate) items: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<K>,
}

/// The money of one order in one currency: captured - refunded is what the merchant keeps.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderMoney {
    order_no: OrderNo,
    currency: Currency,
    #[serde(flatten)]
    balance: Balance,
}

impl Books {
    pub(crate) fn totals(&self) -> Totals {
        Totals {
            payments: self.accounts.len(),
            refunds: self.refunds.len(),
            undelivered_events: self.undelivered.len(),
            by_status: self.by_status.clone(),
            by_currency: self.currencies.clone(),
        }
    }

    /// Up to `limit` payments behind `after`.
    pub(crate) fn payments_page(
        &self,
        after: Option<&PaymentId>,
        limit: usize,
    ) -> Page<PaymentView, PaymentId> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.accounts.range::<PaymentId, _>((start, Bound::Unbounded));
        let mut ids = rows.take(limit + 1);
        let items: Vec<_> = ids.by_ref().take(limit).collect();
        let next = ids.next().and_then(|_more| items.last()).map(|(id, _)| (*id).clone());
        Page { items: items.into_iter().map(|(_, account)| Account::view(account)).collect(), next }
    }

    /// Up to `limit` orders behind `after`; the currencies of one order are never split.
    pub(crate) fn orders_page(
        &self,
        after: Option<&OrderNo>,
        limit: usize,
    ) -> Page<OrderMoney, OrderNo> {
        let first = after.map(|order_no| (order_no.clone(), Currency::LAST));
        let start = first.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.orders.range((start, Bound::Unbounded));
        let mut items: Vec<OrderMoney> = Vec::new();
        for ((order_no, currency), balance) in rows {
            let last = items.last().map(|row| &row.order_no);
            if items.len() >= limit && last != Some(order_no) {
                return Page { next: last.cloned(), items };
            }
            let (order_no, currency, balance) = (order_no.clone(), *currency, *balance);
            items.push(OrderMoney { order_no, currency, balance });
        }
        Page { items, next: None }
    }
}
