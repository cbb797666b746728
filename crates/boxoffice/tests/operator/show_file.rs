use std::path::{Path, PathBuf};

use boxoffice::cli::ShowFile;

fn read(name: &str, text: &str) -> Result<ShowFile, String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path: PathBuf = folder.path().join(name);
    std::fs::write(&path, text).expect("written");
    ShowFile::read(&path).map_err(|error| error.to_string())
}

const GOOD: &str = r#"
showId = 1
name = "Show"
[[sessions]]
sessionId = 7
name = "Evening"
currency = "EUR"
saleStartsAt = 2026-01-10T09:00:00Z
saleEndsAt = "2026-01-11T09:00:00+01:00"
[[sessions.ticketTypes]]
ticketId = 70
name = "Floor"
unitPrice = "199.00"
total = 100
"#;

#[test]
fn the_sample_is_a_show_of_ten_thousand_tickets() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/samples/show.toml");
    let show = ShowFile::read(&sample).expect("a show");
    let types = &show.sessions[0].ticket_types;
    assert_eq!(types.iter().map(|ticket| ticket.total).sum::<i64>(), 10_000);
    assert_eq!(show.body()["sessions"][0]["ticketTypes"][0]["unitPrice"], "79.00");
    assert!(show.body().get("showId").is_none());
}

#[test]
fn toml_and_json_say_the_same() {
    let toml = read("show.toml", GOOD).expect("a show");
    let mut json = toml.body();
    json["showId"] = 1.into();
    assert_eq!(read("show.json", &json.to_string()).expect("a show"), toml);
}

#[test]
fn what_is_wrong_is_named_with_its_field() {
    let ticket = "sessions[0].ticketTypes[0]";
    for (from, to, expected) in [
        ("\"199.00\"", "199.00", format!("{ticket}.unitPrice: write the amount in quotes")),
        ("\"199.00\"", "\"a lot\"", format!("{ticket}.unitPrice: ")),
        ("total = 100", "total = -1", format!("{ticket}.total: must be from 0 to 10000000")),
        ("total = 100", "totl = 100", format!("{ticket}.totl: unknown field")),
        ("total = 100", "", format!("{ticket}: missing field `total`")),
        ("ticketId = 70", "ticketId = 0", format!("{ticket}.ticketId: must be at least 1")),
        ("\"EUR\"", "\"euro\"", "sessions[0].currency: ".to_owned()),
        ("showId = 1", "showId = 'x'", "showId: invalid type".to_owned()),
        ("2026-01-11", "2025-01-11", "sessions[0].saleEndsAt: must be after".to_owned()),
        ("\"Evening\"", "\" \"", "sessions[0].name: must not be empty".to_owned()),
    ] {
        let text = GOOD.replace(from, to);
        assert_ne!(text, GOOD, "{from}");
        let error = read("show.toml", &text).expect_err(to);
        assert!(error.contains(&expected), "{to}: {error}");
        assert!(error.contains("show.toml"), "{error}");
    }
}

#[test]
fn nothing_is_named_twice() {
    let tickets = &GOOD[GOOD.find("[[sessions.ticketTypes]]").expect("there")..];
    let error = read("show.toml", &format!("{GOOD}{tickets}")).expect_err("twice");
    assert!(error.contains("sessions[0].ticketTypes[1].ticketId: 70 is named twice"), "{error}");
}

#[test]
fn a_file_that_is_none_is_refused() {
    assert!(read("show.yaml", GOOD).expect_err("kind").contains("ends in .toml or .json"));
    assert!(read("show.toml", "= 1").is_err());
    assert!(read("show.json", "{").is_err());
    let missing = ShowFile::read(Path::new("no/such/show.toml")).expect_err("missing");
    assert!(missing.to_string().contains("no/such/show.toml: can't be read"));
}
