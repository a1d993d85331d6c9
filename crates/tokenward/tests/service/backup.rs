//! `tokenward backup` into a directory, as a timer runs it.

use std::path::Path;

use sqlx::{Connection as _, SqliteConnection};

use crate::process::{Said, bootstrap, run, text};

fn backup(data: &Path, to: &Path, more: &[&str]) -> Said {
    run(&[&["backup", text(to), "--data-dir", text(data)], more].concat())
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn copies_of_a_directory_are_named_after_their_position_and_the_oldest_go() {
    let files = tempfile::tempdir().unwrap();
    let (data, copies) = (files.path().join("data"), files.path().join("copies"));
    bootstrap(&["--data-dir", text(&data)]);
    std::fs::create_dir(&copies).unwrap();
    std::fs::write(copies.join("notes.txt"), "mine").unwrap();
    for name in ["Globex", "Initech", "Hooli"] {
        let arguments = ["new-organization", "--organization", name, "--owner-email", "owner@acme.example"];
        assert_eq!(run(&[&arguments[..], &["--data-dir", text(&data)]].concat()).code, Some(0));
        let said = backup(&data, &copies, &["--keep", "2"]);
        assert!(said.code == Some(0) && said.err.contains("whole, through position"), "{said:?}");
    }
    let names = names(&copies);
    assert_eq!((names.len(), names[0].as_str()), (3, "notes.txt"), "{names:?}");
    let head = run(&["log", "head", "--data-dir", text(&data)]).out;
    let newest = copies.join(&names[2]);
    let of_copy = run(&["log", "head", "--database", &format!("sqlite:{}", text(&newest))]);
    assert_eq!((of_copy.code, of_copy.out.as_str()), (Some(0), head.as_str()), "{of_copy:?}");
    let position: i64 = head.split_once(':').unwrap().0.parse().unwrap();
    assert!(names[2].ends_with(&format!("Z-{position:012}.db")), "{names:?}");

    for (to, more, right) in
        [(files.path().join("absent"), &["--keep", "2"][..], "mkdir"), (copies, &["--keep", "0"], "0 is not in")]
    {
        let said = backup(&data, &to, more);
        assert!(said.code != Some(0) && said.err.contains(right), "{said:?}");
    }
}

#[test]
fn two_backups_do_not_write_into_one_directory_at_once() {
    let files = tempfile::tempdir().unwrap();
    let (data, copies) = (files.path().join("data"), files.path().join("copies"));
    bootstrap(&["--data-dir", text(&data)]);
    std::fs::create_dir(&copies).unwrap();
    // As one that runs holds it.
    let other = std::fs::File::open(&copies).unwrap();
    other.lock().unwrap();
    let said = backup(&data, &copies, &["--keep", "2"]);
    assert!(said.code == Some(1) && said.err.contains("another backup"), "{said:?}");
    assert_eq!(names(&copies), [""; 0]);
    drop(other);
    assert_eq!(backup(&data, &copies, &["--keep", "2"]).code, Some(0));
    assert_eq!(names(&copies).len(), 1);
}

#[tokio::test]
async fn a_copy_of_a_broken_log_gets_no_name() {
    let files = tempfile::tempdir().unwrap();
    let (data, copies) = (files.path().join("data"), files.path().join("copies"));
    bootstrap(&["--data-dir", text(&data)]);
    std::fs::create_dir(&copies).unwrap();
    let url = format!("sqlite:{}", text(&data.join("tokenward.db")));
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    sqlx::query("UPDATE event SET kind = 'token.deleted' WHERE position = 2").execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    let said = backup(&data, &copies, &["--keep", "2"]);
    assert!(said.code == Some(1) && said.err.contains("broken at position 2"), "{said:?}");
    assert!(names(&copies).iter().all(|name| !name.ends_with(".db")), "{:?}", names(&copies));
}
