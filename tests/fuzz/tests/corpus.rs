//! The corpus, checked without a fuzzer.

use std::{fs, path::Path};

#[test]
fn each_check_holds_for_its_corpus() {
    for (name, check) in fuzz::CHECKS {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
        let files = fs::read_dir(corpus).expect(name).map(|file| file.expect(name).path());
        let mut count = 0;
        for file in files {
            // Shown only if the check fails.
            println!("{}", file.display());
            check(&fs::read(file).expect(name));
            count += 1;
        }
        assert!(count > 0, "{name} has no corpus");
    }
}
