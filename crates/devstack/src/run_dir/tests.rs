use super::*;

#[test]
fn a_run_is_removed_with_all_that_belongs_to_it() {
    let (devstack, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let adopted = outside.path().join("pg");
    fs::create_dir(&adopted).unwrap();
    let run = RunDir::create(devstack.path(), Data::Remove, &Console::quiet()).unwrap();
    run.adopt(&adopted).unwrap();
    let path = run.path().to_owned();
    assert!(path.join("logs").is_dir());
    drop(run);
    assert!(!path.exists());
    assert!(!adopted.exists());
}

#[test]
fn a_live_run_stays_and_a_dead_one_is_cleared_away() {
    let devstack = tempfile::tempdir().unwrap();
    let live = RunDir::create(devstack.path(), Data::Remove, &Console::quiet()).unwrap();
    let dead = devstack.path().join("run-1-dead");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("lock"), "").unwrap();
    let next = RunDir::create(devstack.path(), Data::Remove, &Console::quiet()).unwrap();
    assert!(!dead.exists());
    assert!(live.path().exists() && next.path().exists());
}

#[test]
fn a_kept_run_is_out_of_the_way_of_the_next_one() {
    let devstack = tempfile::tempdir().unwrap();
    let run = RunDir::create(devstack.path(), Data::Keep, &Console::quiet()).unwrap();
    fs::write(run.log("redis"), "a line").unwrap();
    let name = run.path().file_name().unwrap().to_str().unwrap().replacen("run-", "kept-", 1);
    drop(run);
    drop(RunDir::create(devstack.path(), Data::Remove, &Console::quiet()).unwrap());
    assert!(devstack.path().join(name).join("logs/redis.log").is_file());
}
