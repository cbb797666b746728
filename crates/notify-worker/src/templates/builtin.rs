//! The texts that are there without any configuration. They need nothing but the order number.

/// The language that every built-in template has.
pub(super) const LOCALE: &str = "en";

/// Name, locale, subject, body.
pub(super) const ALL: &[(&str, &str, &str, &str)] = &[
    (
        "order.confirmed",
        "en",
        "Your tickets: order {{orderNo}}",
        "Your order {{orderNo}} is paid and confirmed. The tickets are yours. Enjoy the show!\n",
    ),
    (
        "order.confirmed",
        "zh",
        "出票成功：订单 {{orderNo}}",
        "您的订单 {{orderNo}} 已支付并出票成功，祝您观演愉快！\n",
    ),
    (
        "order.rejected",
        "en",
        "No tickets: order {{orderNo}}",
        "We could not get the tickets of your order {{orderNo}}. You have paid nothing.\n",
    ),
    (
        "order.rejected",
        "zh",
        "抢票失败：订单 {{orderNo}}",
        "很抱歉，您的订单 {{orderNo}} 未能抢到门票，您无需支付任何费用。\n",
    ),
    (
        "order.cancelled",
        "en",
        "Cancelled: order {{orderNo}}",
        "Your order {{orderNo}} is cancelled. What you have paid for it will be refunded.\n",
    ),
    (
        "order.cancelled",
        "zh",
        "订单已取消：{{orderNo}}",
        "您的订单 {{orderNo}} 已取消，如已付款将原路退回。\n",
    ),
    (
        "order.expired",
        "en",
        "Expired: order {{orderNo}}",
        "Your order {{orderNo}} was not paid in time and has expired.\n",
    ),
    (
        "order.expired",
        "zh",
        "订单已过期：{{orderNo}}",
        "您的订单 {{orderNo}} 未在规定时间内支付，已自动关闭。\n",
    ),
    (
        "order.refunded",
        "en",
        "Refunded: order {{orderNo}}",
        "What you have paid for your order {{orderNo}} is on its way back to you.\n",
    ),
    (
        "order.refunded",
        "zh",
        "退款成功：订单 {{orderNo}}",
        "您的订单 {{orderNo}} 已退款，款项将原路退回。\n",
    ),
];
