//! The codes of this API's problems; each has a page in `docs/errors/`.

pub const IDEMPOTENCY_KEY_REUSED: &str = "idempotency_key_reused";
pub const INVALID_QUANTITY: &str = "invalid_quantity";
pub const DUPLICATE_TICKET: &str = "duplicate_ticket";
pub const LINES_OF_TWO_SESSIONS: &str = "lines_of_two_sessions";
pub const UNKNOWN_SESSION: &str = "unknown_session";
pub const UNKNOWN_TICKET: &str = "unknown_ticket";
pub const SALE_CLOSED: &str = "sale_closed";
pub const SOLD_OUT: &str = "sold_out";
pub const ORDER_LIMIT: &str = "order_limit";
pub const USER_LIMIT: &str = "user_limit";
pub const WRONG_CURRENCY: &str = "wrong_currency";
pub const PRICE_CHANGED: &str = "price_changed";
pub const UNKNOWN_PAYMENT_METHOD: &str = "unknown_payment_method";
pub const UNKNOWN_ORDER: &str = "unknown_order";
pub const NOT_CANCELLABLE: &str = "not_cancellable";
pub const NOT_PAYABLE: &str = "not_payable";
pub const INVALID_SIGNATURE: &str = "invalid_signature";

/// All of them.
pub const ALL: &[&str] = &[
    IDEMPOTENCY_KEY_REUSED,
    INVALID_QUANTITY,
    DUPLICATE_TICKET,
    LINES_OF_TWO_SESSIONS,
    UNKNOWN_SESSION,
    UNKNOWN_TICKET,
    SALE_CLOSED,
    SOLD_OUT,
    ORDER_LIMIT,
    USER_LIMIT,
    WRONG_CURRENCY,
    PRICE_CHANGED,
    UNKNOWN_PAYMENT_METHOD,
    UNKNOWN_ORDER,
    NOT_CANCELLABLE,
    NOT_PAYABLE,
    INVALID_SIGNATURE,
];
