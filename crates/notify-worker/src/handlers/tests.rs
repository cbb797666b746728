use common::pipeline::Registration;
use contracts::Channel;

use super::*;

#[test]
fn every_channel_has_its_group_and_every_subscribed_tag_its_handler() {
    let registrations = registrations(&Config::default());
    assert_eq!(registrations.len(), Channel::ALL.len());
    for (registration, channel) in registrations.iter().zip(Channel::ALL) {
        assert_eq!(Registration::check(registration), Ok(()));
        assert_eq!(registration.subscription.tags, [Arc::from(channel.tag().as_str())]);
    }
    let groups: Vec<&str> = registrations.iter().map(|r| &*r.subscription.group).collect();
    assert_eq!(groups, ["notify-sms", "notify-email", "notify-push"]);
}
