//! `tokenward token import`: texts of another system go on working, all of a file or none of it.

use std::fs;

use crate::cli::World;

const OLD: [&str; 2] = ["sk_live_9aBz8KqXw27LmPd0RtYv31Ec", "Jh3Lq9Zt5Wm1Xc7Vb2Np8Rk4Ys6Dg0Fa"];

#[test]
fn a_file_is_looked_at_first_and_imported_whole_and_its_texts_go_on_working() {
    let world = World::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("old.csv");
    let path = file.to_str().unwrap();
    let import = |text: &str, more: &[&str]| {
        fs::write(&file, text).unwrap();
        world.run(&[&["token", "import", path], more].concat())
    };
    let table = format!(
        "name,role,secret,expires_at,labels\nci,viewer,{},2099-01-31,team=shop\nold,viewer,{},never,\n",
        OLD[0], OLD[1]
    );
    let tried = import(&table, &["--dry-run"]);
    assert_eq!((tried.code, tried.out.as_str()), (0, ""), "{}", tried.err);
    assert!(tried.err.contains("2 tokens can be imported. Nothing was made."), "{}", tried.err);
    assert_eq!(world.verify(OLD[0], &[]).code, 3, "nothing was made");
    // One bad row is named with its line, none is imported, and no secret is shown.
    let ours = world.token("ours", "viewer");
    let wrong = format!("{}{}", &ours[..41], if ours.ends_with('a') { 'b' } else { 'a' });
    for (row, said) in [
        (format!("bad,viewer,{wrong},,"), "its checksum is wrong"),
        (format!("bad,viewer,{},,", OLD[0]), "line"),
        ("bad,viewer,aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa,,".to_owned(), "Make a new token instead"),
        ("bad,nobody,Qw3Er5Ty7Ui9Op1As2Df4Gh6Jk8Lz0Xc,,".to_owned(), "nobody"),
        ("bad,viewer,Qw3Er5Ty7Ui9Op1As2Df4Gh6Jk8Lz0Xc,2020-01-01,".to_owned(), "future"),
    ] {
        let refused = import(&format!("{table}{row}\n"), &["--yes"]);
        assert!(refused.code != 0 && refused.err.contains(said), "{row}: {}", refused.err);
        assert!(refused.err.contains('4'), "the line is named: {}", refused.err);
        for secret in OLD.iter().copied().chain([wrong.as_str()]) {
            assert!(!refused.err.contains(secret) && !refused.out.contains(secret), "{}", refused.err);
        }
    }
    assert_eq!(world.verify(OLD[0], &[]).code, 3, "nothing is half done");
    let done = import(&table, &["--yes"]);
    assert!(done.code == 0 && done.err.contains("Imported 2 tokens"), "{}", done.err);
    for text in OLD {
        assert_eq!(world.verify(text, &[]).code, 0);
    }
    let shown = world.json(&["token", "list", "--label", "team=shop"]);
    assert_eq!(shown["results"][0]["expires_at"], "2099-02-01T00:00:00.000000Z", "a date is the last day: {shown}");
    // The same file is never imported twice, also once its tokens are gone.
    world.run(&["token", "delete", "ci", "--yes"]);
    let again = import(&table.replace("ci,", "ci-2,").replace("old,viewer", "old-2,viewer"), &["--yes"]);
    assert!(again.code != 0 && again.err.contains("was registered before"), "{}", again.err);
}
