//! Why something ended the way it did.
//!
//! On the wire a reason is any text: a consumer must not fail on one that came later.

use crate::wire_enum::wire_enum;

wire_enum! {
    /// Why an order was cancelled, in `ORDER_CANCELLED`.
    CancelReason, "a reason of cancelling" {
        /// The buyer did.
        User = "user",
        /// No payment came about.
        Payment = "payment",
        /// Its time was up.
        Expired = "expired",
        /// stock-worker refused or released it, so it knows already.
        Stock = "stock",
        /// It was never accepted: a refused `ORDER_CREATE`.
        Refused = "refused",
    }
}

wire_enum! {
    /// Why stock was refused, in `STOCK_REJECTED`, and why an order was refused.
    RejectReason, "a reason of refusing" {
        /// Not enough tickets are left.
        SoldOut = "sold_out",
        /// The buyer would hold more than one person may.
        UserLimit = "user_limit",
        /// One order asks for more than it may.
        OrderLimit = "order_limit",
        /// No such ticket type in this session.
        UnknownTicket = "unknown_ticket",
        /// No such session.
        UnknownSession = "unknown_session",
        /// The sale has not begun, or is over.
        SaleClosed = "sale_closed",
        /// The price is another one by now.
        PriceChanged = "price_changed",
        /// The session is sold in another currency.
        Currency = "currency",
        /// The order was released before, or its release came first.
        Released = "released",
        /// The order holds other lines.
        LinesDiffer = "lines_differ",
        /// The idempotency key was used for another order.
        IdempotencyConflict = "idempotency_conflict",
    }
}
