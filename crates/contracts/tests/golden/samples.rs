//! One message per tag, as a producer builds it.

use chrono::{DateTime, Utc};
use contracts::{
    CancelReason, Channel, Currency, Envelope, Extra, Line, LocalTime, NotificationId,
    NotificationMessage, OrderEventMessage, OrderEventType, OrderNo, OrderStatus, Quantity,
    RejectReason, SaleChanged, SaleState, SaleTicketType, SessionId, ShowId, StockEventMessage,
    StockOperation, StockStep, Tag, TicketId, UserId, WRITE_VERSION,
};

/// A body of any kind.
pub(crate) enum Message {
    Order(OrderEventMessage),
    Stock(StockEventMessage),
    Sale(SaleChanged),
    Notification(NotificationMessage),
}

/// The message of a tag.
pub(crate) fn sample(tag: Tag) -> (Envelope, Message) {
    let (producer, message) = match tag {
        Tag::OrderCreate => ("web/1.0.0", Message::Order(order_create())),
        Tag::OrderCreated => ("order-worker/0.1.0", Message::Order(order_created())),
        Tag::OrderReserved => {
            ("order-worker/0.1.0", order_fact(OrderEventType::Reserved, OrderStatus::Reserved))
        }
        Tag::OrderPaid => {
            ("order-worker/0.1.0", order_fact(OrderEventType::Paid, OrderStatus::Paid))
        }
        Tag::OrderConfirmed => {
            ("order-worker/0.1.0", order_fact(OrderEventType::Confirmed, OrderStatus::Confirmed))
        }
        Tag::OrderRefunded => {
            ("order-worker/0.1.0", order_fact(OrderEventType::Refunded, OrderStatus::Refunded))
        }
        Tag::OrderCancelled => ("order-worker/0.1.0", Message::Order(order_cancelled())),
        Tag::StockDeducted => {
            ("stock-worker/0.1.0", Message::Stock(stock_fact(StockOperation::Deducted)))
        }
        Tag::StockConfirmed => {
            ("stock-worker/0.1.0", Message::Stock(stock_fact(StockOperation::Confirmed)))
        }
        Tag::StockRolledBack => {
            ("stock-worker/0.1.0", Message::Stock(stock_fact(StockOperation::RolledBack)))
        }
        Tag::StockRejected => ("stock-worker/0.1.0", Message::Stock(stock_rejected())),
        Tag::StockDeduct => {
            ("operator/1.0.0", Message::Stock(stock_command(StockOperation::Deduct)))
        }
        Tag::StockRollback => {
            ("operator/1.0.0", Message::Stock(stock_command(StockOperation::Rollback)))
        }
        Tag::StockSync => ("operator/1.0.0", Message::Stock(stock_sync())),
        Tag::SaleChanged => ("stock-worker/0.1.0", Message::Sale(sale_changed())),
        Tag::Sms => ("order-worker/0.1.0", notification(Channel::Sms)),
        Tag::Email => ("order-worker/0.1.0", notification(Channel::Email)),
        Tag::Push => ("order-worker/0.1.0", notification(Channel::Push)),
    };
    (envelope(tag, producer), message)
}

fn envelope(tag: Tag, producer: &str) -> Envelope {
    let of_no_order = matches!(tag, Tag::SaleChanged | Tag::StockSync);
    let is_command =
        matches!(tag, Tag::OrderCreate | Tag::StockDeduct | Tag::StockRollback | Tag::StockSync);
    let cause = "019aa563-7f00-7a11-8c22-0123456789ab".parse().expect("a UUID");
    Envelope {
        key: if of_no_order { String::new() } else { order_no().to_string() },
        event_id: "019aa563-8000-7b3c-9d4e-5f60718293a4".parse().expect("a UUID"),
        schema_version: WRITE_VERSION,
        aggregate_version: if is_command { 0 } else { 3 },
        occurred_at: at("2026-11-21T07:12:19.553003Z"),
        producer: producer.to_owned(),
        causation_id: (!is_command).then_some(cause),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    }
}

fn order_create() -> OrderEventMessage {
    OrderEventMessage {
        currency: Some(currency()),
        channels: Some(vec![Channel::Sms, Channel::Email]),
        idempotency_key: Some("cart-4711".to_owned()),
        payment_method: Some("instant".to_owned()),
        ..order(OrderEventType::Create, &[vip()])
    }
}

fn order_created() -> OrderEventMessage {
    OrderEventMessage {
        currency: Some(currency()),
        total_amount: Some("546.50".parse().expect("an amount")),
        status: Some(OrderStatus::Pending.code()),
        expires_at: Some(at("2026-11-21T07:27:19.553Z")),
        channels: Some(vec![Channel::Email]),
        ..order(OrderEventType::Created, &[vip(), standing()])
    }
}

fn order_fact(event_type: OrderEventType, status: OrderStatus) -> Message {
    Message::Order(OrderEventMessage {
        currency: Some(currency()),
        total_amount: Some("398.00".parse().expect("an amount")),
        status: Some(status.code()),
        ..order(event_type, &[vip()])
    })
}

fn order_cancelled() -> OrderEventMessage {
    OrderEventMessage {
        status: Some(OrderStatus::Expired.code()),
        reason: Some(CancelReason::Expired.as_str().to_owned()),
        ..order(OrderEventType::Cancelled, &[vip()])
    }
}

fn order(event_type: OrderEventType, lines: &[Line]) -> OrderEventMessage {
    let mut message = OrderEventMessage {
        user_id: Some(UserId(7001)),
        show_id: Some(ShowId(10)),
        session_id: Some(SessionId(1001)),
        event_time: Some(event_time()),
        ..OrderEventMessage::new(event_type, order_no())
    };
    message.set_lines(lines);
    message
}

fn stock_fact(operation: StockOperation) -> StockEventMessage {
    let mut message = StockEventMessage {
        order_no: Some(order_no()),
        event_time: Some(event_time()),
        session_id: Some(SessionId(1001)),
        user_id: Some(UserId(7001)),
        currency: Some(currency()),
        hold: Some(1),
        ..StockEventMessage::new(operation)
    };
    message.set_lines(&[vip(), standing()]);
    message
}

fn stock_rejected() -> StockEventMessage {
    StockEventMessage {
        reason: Some(RejectReason::SoldOut.as_str().to_owned()),
        on: Some(StockStep::Reserve),
        ..stock_fact(StockOperation::Rejected)
    }
}

fn stock_command(operation: StockOperation) -> StockEventMessage {
    StockEventMessage {
        ticket_id: Some(vip().ticket_id),
        quantity: Some(vip().quantity),
        order_no: Some(order_no()),
        event_time: Some(event_time()),
        ..StockEventMessage::new(operation)
    }
}

fn stock_sync() -> StockEventMessage {
    StockEventMessage {
        ticket_id: Some(vip().ticket_id),
        event_time: Some(event_time()),
        ..StockEventMessage::new(StockOperation::Sync)
    }
}

fn sale_changed() -> SaleChanged {
    let mut sale = SaleChanged::new(ShowId(10), SessionId(1001), 3, currency());
    sale.state = SaleState::Open;
    sale.sale_starts_at = Some(at("2026-11-21T07:00:00Z"));
    sale.sale_ends_at = Some(at("2026-11-28T07:00:00Z"));
    sale.hold_seconds = Some(900);
    sale.per_user_limit = Some(6);
    sale.event_time = Some(event_time());
    sale.ticket_types = vec![
        ticket_type(vip(), "VIP", Some(4), false),
        ticket_type(standing(), "Standing", None, true),
    ];
    sale
}

fn ticket_type(line: Line, name: &str, limit: Option<i32>, sold_out: bool) -> SaleTicketType {
    SaleTicketType {
        ticket_id: line.ticket_id,
        name: name.to_owned(),
        unit_price: line.unit_price.expect("the sample lines have prices"),
        per_order_limit: limit.map(|limit| Quantity::new(limit).expect("a quantity")),
        sold_out,
        extra: Extra::new(),
    }
}

fn notification(channel: Channel) -> Message {
    let id = format!("{}-n1-{channel}", order_no());
    let id = NotificationId::new(id).expect("a notification id");
    let mut params = Extra::new();
    params.insert("total", "398.00 CHF");
    params.insert("tickets", 2);
    let message = NotificationMessage::templated(id, UserId(7001), channel, "order-confirmed");
    Message::Notification(NotificationMessage {
        order_no: Some(order_no()),
        locale: Some("en".to_owned()),
        params: Some(params),
        valid_until: Some(at("2026-11-22T07:12:19Z")),
        priority: Some(0),
        ..message
    })
}

fn vip() -> Line {
    line(30011, 2, "199.00")
}

fn standing() -> Line {
    line(30012, 3, "49.50")
}

fn line(ticket_id: i64, quantity: i32, unit_price: &str) -> Line {
    Line {
        ticket_id: TicketId(ticket_id),
        quantity: Quantity::new(quantity).expect("a quantity"),
        unit_price: Some(unit_price.parse().expect("an amount")),
    }
}

fn currency() -> Currency {
    Currency::new("CHF").expect("a currency")
}

fn order_no() -> OrderNo {
    OrderNo::new("01KB2P7000ABCDEFGHJKMNPQRS").expect("an order number")
}

fn event_time() -> LocalTime {
    LocalTime::new(at("2026-11-21T07:12:19.553003Z")).expect("a time Java can write")
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}
